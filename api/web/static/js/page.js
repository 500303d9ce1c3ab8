// What every page can do: copy boxes, and keys that go to a field or to a neighbouring page.

// Copies a text when it is pressed, and says so in place of its words for a while, also to those who listen.
const copies = (pressed, words, text) => {
  const before = words.textContent;
  pressed.setAttribute("aria-live", "polite");
  pressed.addEventListener("click", async (event) => {
    event.preventDefault();
    await navigator.clipboard.writeText(text);
    words.textContent = "Copied";
    setTimeout(() => (words.textContent = before), 2000);
  });
};

if (navigator.clipboard) {
  for (const box of document.querySelectorAll(".copy")) {
    const button = box.querySelector("[data-copy]");
    if (!button) continue;
    button.hidden = false;
    copies(button, button.lastChild, box.querySelector("pre").textContent);
  }
  // A link with data-copies leads to what is to be copied, and where scripts may, copies it at once.
  for (const link of document.querySelectorAll("a[data-copies]")) copies(link, link, link.dataset.copies);
}

// A form that writes is sent once, however often its button is pressed; it may be sent again when its page is back, or
// after a while without an answer.
const PATIENCE_MS = 5000;
const sent = new Set();
document.addEventListener("submit", (event) => {
  const form = event.target;
  if ((event.submitter?.getAttribute("formmethod") ?? form.method) !== "post") return;
  if (sent.has(form)) {
    event.preventDefault();
    return;
  }
  sent.add(form);
  setTimeout(() => sent.delete(form), PATIENCE_MS);
});
addEventListener("pageshow", () => sent.clear());

// A field on which others of its form depend names, as data-reloads, the page of the form: it is shown anew, with what
// stands in the fields. What is long does not go into the address, which servers bound, but is kept here meanwhile.
const LONG = 500;
const longOf = (path) => `imago.fields ${path}`;
const reload = ({ form, dataset }) => {
  const said = new URLSearchParams();
  const kept = [];
  for (const [name, value] of new FormData(form)) {
    if (value.length > LONG) kept.push([name, value]);
    else said.append(name, value);
  }
  try {
    sessionStorage.setItem(longOf(dataset.reloads), JSON.stringify(kept));
  } catch {
    // Without storage what is long is typed anew.
  }
  location.assign(`${dataset.reloads}?${said}`);
};
const reloading = document.querySelector("[data-reloads]");
if (reloading) {
  try {
    for (const [name, value] of JSON.parse(sessionStorage.getItem(longOf(location.pathname)) ?? "[]")) {
      const field = reloading.form.elements.namedItem(name);
      if (!field || field.value !== field.defaultValue) continue;
      field.value = value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    sessionStorage.removeItem(longOf(location.pathname));
  } catch {
    // There is none then.
  }
}

// What such a field, and a form with data-follow, leads to is followed at once where it was chosen from the open list
// with a pointer. Keys change a closed one at each press: a button beside it follows them.
const leads = (field) => {
  if (field.dataset.reloads) return () => reload(field);
  return field.form?.matches("[data-follow]") ? () => field.form.requestSubmit() : null;
};
let isPointed = false;
document.addEventListener("pointerdown", () => (isPointed = true), true);
document.addEventListener("keydown", () => (isPointed = false), true);
document.addEventListener("change", ({ target }) => {
  const follow = leads(target);
  if (!follow) return;
  if (isPointed) {
    follow();
  } else if (!target.parentElement.querySelector("[data-follows]")) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Show" });
    button.dataset.follows = "";
    button.addEventListener("click", follow);
    target.after(button);
  }
});

const isTyping = (target) => target.closest("input, textarea, select, [contenteditable]");

// A field with data-shortcut="/" is reached by that key, a link with data-key="ArrowLeft" followed by it, one with
// data-key="Shift+ArrowUp" together with Shift: alone, the keys up and down scroll.
document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const key = CSS.escape((event.shiftKey && event.key.startsWith("Arrow") ? "Shift+" : "") + event.key);
  const field = document.querySelector(`[data-shortcut="${key}"]`);
  if (field) {
    event.preventDefault();
    field.focus();
    return;
  }
  const link = document.querySelector(`a[data-key="${key}"]`);
  if (link && !event.target.closest("[role=grid]")) {
    event.preventDefault();
    link.click();
  }
});
