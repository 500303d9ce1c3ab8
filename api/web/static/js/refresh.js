// Keeps parts of a page fresh: every element with an id and data-refresh="SECONDS" is replaced by what the same address
// says by then. For what changes as a whole; what has events is kept fresh by live.js, which uses this for its parts.

const waiting = new WeakSet();

// The address at which this page can be read: a page that answers a form stands at another one, and names it. Read once,
// since what is read anew from there does not name it any more.
const named = document.querySelector("[data-page]")?.dataset.page;
const address = () => named ?? location.href;

// Whether what is asked for will not be there later either, so that nobody need ask again.
export const isGone = (status) => [401, 403, 404, 405, 410].includes(status);

const within = (part, what) => [part, ...part.querySelectorAll(what)].filter((element) => element.matches(what));
const summary = (details) => details.querySelector("summary")?.textContent;

// What somebody has opened or closed stays so.
const carryOpen = (old, now) => {
  const before = within(old, "details");
  const after = within(now, "details");
  before.forEach((details, place) => {
    const same = before.length === after.length ? after[place] : after.find((each) => summary(each) === summary(details));
    if (same) same.open = details.open;
  });
};

// Nor does anything that is wider or longer than its place go back to its beginning.
const scrolling = (part) => [part, ...part.querySelectorAll(".table, pre")];
const replace = (old, now) => {
  const scrolled = scrolling(old).map(({ scrollLeft, scrollTop }) => [scrollLeft, scrollTop]);
  old.replaceWith(document.adoptNode(now));
  scrolling(now).forEach((element, place) => {
    [element.scrollLeft, element.scrollTop] = scrolled[place] ?? [0, 0];
  });
};

// What somebody is at with the keyboard stays where it is until they have left it.
const swap = (old, now) => {
  carryOpen(old, now);
  if (old.isEqualNode(now)) return;
  if (!old.contains(document.activeElement)) {
    replace(old, now);
  } else if (!waiting.has(old)) {
    waiting.add(old);
    old.addEventListener("focusout", () => {
      waiting.delete(old);
      setTimeout(() => refresh([old]));
    }, { once: true });
  }
};

const isChanged = (field) => {
  if (["hidden", "submit", "button", "output"].includes(field.type)) return false;
  if (field.options) {
    const first = [...field.options].findIndex((option) => option.defaultSelected);
    return field.selectedIndex !== Math.max(0, first);
  }
  return field.value !== (field.defaultValue ?? field.value) || field.checked !== field.defaultChecked;
};

// Whether somebody is writing, or has written, what another page would not have. What a form was sent with, and is shown
// again, is such too.
const isWriting = () =>
  Boolean(named) ||
  document.activeElement?.matches("input, select, textarea, summary") ||
  [...document.forms].some((form) => [...form.elements].some(isChanged));

// What was waited for is there, and the page is another one. It comes at once, else when nobody writes any more; until
// then there is a link to it.
const leave = (part) => {
  if (!isWriting()) {
    location.reload();
    return;
  }
  const there = new URL(address(), location.href);
  there.hash = ""; // with it a browser would only scroll
  const link = Object.assign(document.createElement("a"), { href: there, textContent: "Show it" });
  const said = document.createElement("p");
  said.append("What this page waits for is there. ", link, ". What is in the fields is not kept then.");
  part.setAttribute("role", "status");
  part.replaceChildren(said);
  delete part.dataset.refresh;
  document.addEventListener("focusout", () => setTimeout(() => isWriting() || location.reload()));
};

const names = (list) => [...list.children].map((child) => child.id).join();

// Where a page is not read anew, what it shows is what was there before, and it says why.
const say = (why, link = "") => {
  const place = document.getElementById("unreached");
  if (!place) return;
  place.hidden = !why;
  place.firstElementChild.replaceChildren(`${why} What is shown is what was there before. `, link);
};
export const reached = (isReached) => say(isReached ? "" : "The service does not answer; this page tries again by itself.");

// Scripts follow who is signed out to the page that signs in, and that one knows the way back.
const statusOf = ({ redirected, status, url }) => (redirected && new URL(url).pathname === "/signin" ? 401 : status);
const stopped = (status, url) => {
  if (status === 401) say("You are signed out.", Object.assign(document.createElement("a"), { href: url, textContent: "Sign in to go on" }));
  else if ([403, 404, 410].includes(status)) say("This is not there any more, or not for you to see.");
};

// Replaces parts of the page, each by its id; of a list with data-each only those entries that differ, so that pictures
// which are there already stay. Gives the status of the answer, 0 where there was none, and 401 where it wants a key.
export const refresh = async (parts) => {
  let answer;
  let text;
  try {
    answer = await fetch(address(), { headers: { Accept: "text/html" } });
    text = await answer.text();
  } catch {
    reached(false);
    return 0;
  }
  const status = statusOf(answer);
  reached(status < 500 && status !== 429); // proxies and servers that are too busy answer, too
  stopped(status, answer.url);
  if (!answer.ok || status === 401) return status; // what is shown stays readable
  const page = new DOMParser().parseFromString(text, "text/html");
  document.title = page.title;
  for (const { id } of parts) {
    const old = document.getElementById(id);
    const now = page.getElementById(id);
    if (old?.dataset.refresh && !now) {
      leave(old);
      return status;
    }
    if (!old || !now) continue;
    if ("each" in old.dataset && names(old) === names(now)) {
      const fresh = [...now.children];
      [...old.children].forEach((child, place) => swap(child, fresh[place]));
    } else {
      swap(old, now);
    }
  }
  return status;
};

// Parts that wait are asked for until none does, or there is nothing to ask for.
const parts = () => [...document.querySelectorAll("[data-refresh][id]")];
const wait = () => {
  const found = parts();
  const seconds = Math.min(...found.map((part) => Number(part.dataset.refresh)));
  if (found.length) setTimeout(look, 1000 * seconds);
};
const look = async () => {
  if (document.hidden || !isGone(await refresh(parts()))) wait();
};
wait();
