// Keeps parts of a page fresh: every element with an id and data-refresh="SECONDS" is replaced by what the same address
// says by then. For what changes as a whole; what has events is kept fresh by live.js, which uses this for its parts.

const waiting = new WeakSet();

// What somebody is at with the keyboard stays where it is until they have left it.
const swap = (old, now) => {
  if (old.isEqualNode(now)) return;
  if (!old.contains(document.activeElement)) {
    old.replaceWith(document.adoptNode(now));
  } else if (!waiting.has(old)) {
    waiting.add(old);
    old.addEventListener("focusout", () => {
      waiting.delete(old);
      setTimeout(() => refresh([old]));
    }, { once: true });
  }
};

const names = (list) => [...list.children].map((child) => child.id).join();

// What is shown while the service does not answer is what was there before, and the page says so.
export const reached = (isReached) => {
  const place = document.getElementById("unreached");
  if (place) place.hidden = isReached;
};

// Replaces parts of the page, each by its id; of a list with data-each only those entries that differ, so that pictures
// which are there already stay. Gives the status of the answer, 0 where there was none.
export const refresh = async (parts) => {
  let answer;
  let text;
  try {
    answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    text = await answer.text();
  } catch {
    reached(false);
    return 0;
  }
  reached(true);
  if (!answer.ok) return answer.status; // said when the page is next opened; what is shown stays readable
  const page = new DOMParser().parseFromString(text, "text/html");
  document.title = page.title;
  for (const { id } of parts) {
    const old = document.getElementById(id);
    const now = page.getElementById(id);
    if (old?.dataset.refresh && !now) {
      location.reload(); // what was waited for is there, and the page is another one
      return answer.status;
    }
    if (!old || !now) continue;
    if ("each" in old.dataset && names(old) === names(now)) {
      const fresh = [...now.children];
      [...old.children].forEach((child, place) => swap(child, fresh[place]));
    } else {
      swap(old, now);
    }
  }
  return answer.status;
};

const parts = [...document.querySelectorAll("[data-refresh][id]")];
const seconds = Math.min(...parts.map((part) => Number(part.dataset.refresh)));
if (parts.length) setInterval(() => document.hidden || refresh(parts), 1000 * seconds);
