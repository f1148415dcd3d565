// Keeps what the reader looks at in the address, so that it can be shared and Back works.

const VIEWS = ["syncs", "graph", "copies", "events"];
const KEYS = ["q", "state", "reason", "sort", "offset", "sync", "focus"];

// Return the route of the address: the view, and a string for each key.
export function current() {
  const given = new URLSearchParams(location.search);
  const route = { view: VIEWS.includes(given.get("view")) ? given.get("view") : VIEWS[0] };
  for (const key of KEYS) route[key] = given.get(key) ?? "";
  return route;
}

// Return the address of a route that differs from the present one by `changes`.
export function address(changes) {
  const route = { ...current(), ...changes };
  if (route.view === VIEWS[0]) route.view = "";
  const set = ["view", ...KEYS].filter((key) => route[key]);
  return set.length ? `/?${new URLSearchParams(set.map((key) => [key, route[key]]))}` : "/";
}

// Go to another route, without a new entry in the history if `silent` is set.
export function go(changes, { silent = false } = {}) {
  const target = address(changes);
  if (silent) history.replaceState(null, "", target);
  else history.pushState(null, "", target);
  dispatchEvent(new Event("route"));
}

// Follow links to this page without loading it again. `adjust` may change the address before that.
export function intercept(adjust) {
  addEventListener("popstate", () => dispatchEvent(new Event("route")));
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
    if (!link || !plain || link.origin !== location.origin || link.hash) return;
    event.preventDefault();
    const target = new URL(link.href);
    adjust(target.searchParams);
    history.pushState(null, "", target);
    dispatchEvent(new Event("route"));
  });
}
