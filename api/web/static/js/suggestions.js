// Completes labels in a field with data-suggestions, the address that knows them, through the field's own list.

for (const field of document.querySelectorAll("input[data-suggestions]")) {
  let asked = "";
  let timer;
  const suggest = async () => {
    const prefix = field.value.trim();
    if (prefix.length < 2 || prefix.includes("/") || prefix === asked) return;
    asked = prefix;
    const answer = await fetch(`${field.dataset.suggestions}?${new URLSearchParams({ prefix })}`);
    if (!answer.ok || asked !== prefix) return; // somebody typed on
    const { data } = await answer.json();
    field.list.replaceChildren(...data.map((label) => Object.assign(document.createElement("option"), { value: label })));
  };
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => suggest().catch(() => {}), 150);
  });
}
