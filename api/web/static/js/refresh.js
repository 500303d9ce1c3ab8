// Keeps parts of a page fresh: every element with an id and data-refresh="SECONDS" is replaced by what the same address
// says by then. For what changes as a whole; single figures of jobs and atlases come through live.js.

const parts = [...document.querySelectorAll("[data-refresh][id]")];
const seconds = Math.min(...parts.map((part) => Number(part.dataset.refresh)));

const fresh = async () => {
  if (document.hidden) return;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return; // said when the page is next opened; what is shown stays readable
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const { id } of parts) {
    const old = document.getElementById(id);
    const now = page.getElementById(id);
    // What somebody is at with the keyboard stays where it is.
    if (old && now && !old.contains(document.activeElement)) old.replaceWith(document.adoptNode(now));
  }
};

if (parts.length) setInterval(() => fresh().catch(() => {}), 1000 * seconds);
