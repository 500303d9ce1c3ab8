// A photograph that is chosen, dropped anywhere on the page or pasted: made small enough here, then sent by the form. On
// the page of the answer it is shown from this tab's own memory, since the service forgets it.

const SIDE = 512; // networks look at 224 pixels or so
const PENDING = "imago.photograph";
const form = document.querySelector("form[data-photograph]");
const shown = document.querySelector("[data-photograph-of]");

const remember = (name, value) => {
  try {
    sessionStorage.setItem(name, value);
  } catch {
    // Without storage the answer is shown without the photograph.
  }
};
const recall = (name) => {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
};

const smaller = async (file) => {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, SIDE / Math.min(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
};

const asText = (blob) =>
  new Promise((resolve) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.readAsDataURL(blob);
  });

const send = async (file) => {
  const field = form.elements.namedItem("photograph");
  const small = await smaller(file);
  const files = new DataTransfer();
  files.items.add(new File([small], "photograph.jpg", { type: "image/jpeg" }));
  field.files = files.files;
  remember(PENDING, await asText(small));
  form.classList.add("is-sent");
  form.requestSubmit();
};

const take = (file) => {
  if (!file) return;
  const field = form.elements.namedItem("photograph");
  field.setCustomValidity("");
  send(file).catch(() => {
    field.setCustomValidity(`${file.name || "This"} is no picture that your browser can read: choose a JPEG, PNG or WebP.`);
    field.reportValidity();
  });
};

if (form) {
  const hint = form.querySelector("[data-drop-hint]");
  if (hint) hint.hidden = false;
  const field = form.elements.namedItem("photograph");
  field.addEventListener("change", () => take(field.files[0]));
  const brings = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    form.classList.add("is-over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) form.classList.remove("is-over");
  });
  document.addEventListener("drop", (event) => {
    if (!brings(event)) return;
    event.preventDefault();
    form.classList.remove("is-over");
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (file) take(file);
  });
}

if (shown) {
  const name = `${PENDING}.${shown.dataset.photographOf}`;
  // The photograph that was sent last is this page's if the form has led here: it may also have led to a refusal, and
  // somebody has gone to an earlier answer since.
  const [arrival] = performance.getEntriesByType("navigation");
  const isLedHere = arrival?.type === "navigate" && arrival.redirectCount > 0;
  const text = recall(name) ?? (isLedHere ? recall(PENDING) : null);
  if (text) {
    remember(name, text);
    const bytes = Uint8Array.from(atob(text.slice(text.indexOf(",") + 1)), (sign) => sign.charCodeAt(0));
    const image = Object.assign(new Image(192, 192), {
      alt: "The photograph",
      src: URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })),
    });
    shown.querySelector("[data-photograph-here]").replaceChildren(image);
  }
}
try {
  sessionStorage.removeItem(PENDING);
} catch {
  // There is none then.
}
