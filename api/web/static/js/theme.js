// Light or dark: as the system says, until somebody chooses. Runs before the page is drawn, so that it does not flash;
// a classic script, so that it also runs on pages opened from a file.
(() => {
  const root = document.documentElement;
  const stored = () => {
    try {
      return localStorage.getItem("imago.theme");
    } catch {
      return null; // storage is switched off: the system's choice holds
    }
  };
  const chosen = stored();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        const dark = root.dataset.theme
          ? root.dataset.theme === "dark"
          : matchMedia("(prefers-color-scheme: dark)").matches;
        root.dataset.theme = dark ? "light" : "dark";
        try {
          localStorage.setItem("imago.theme", root.dataset.theme);
        } catch {
          // It holds for this page then.
        }
      });
    }
    for (const details of document.querySelectorAll("details[data-rail]")) {
      // On a phone the layers would fill the first screen, so they come closed.
      details.open = matchMedia("(min-width: 56rem)").matches;
    }
  });
})();
