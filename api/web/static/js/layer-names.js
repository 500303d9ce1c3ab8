// Names of layers beside the field that takes them: pressed, they come into it or leave it.

const WORDS = ["blocks", "convolutions", "all"];
const list = document.querySelector("[data-names-for]");
const field = list && document.getElementById(list.dataset.namesFor);

const named = () =>
  field.value
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean);

if (field) {
  const buttons = [...list.querySelectorAll("[data-name]")].map((code) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.name = code.dataset.name;
    const item = code.parentElement;
    button.append(...item.childNodes);
    item.append(button);
    return button;
  });
  const mark = () => {
    const chosen = named();
    for (const button of buttons) button.setAttribute("aria-pressed", chosen.includes(button.dataset.name));
  };
  list.addEventListener("click", (event) => {
    const name = event.target.closest("button[data-name]")?.dataset.name;
    if (!name) return;
    const chosen = named().filter((each) => !WORDS.includes(each));
    field.value = (chosen.includes(name) ? chosen.filter((each) => each !== name) : [...chosen, name]).join(", ");
    mark();
  });
  field.addEventListener("input", mark);
  mark();
}
