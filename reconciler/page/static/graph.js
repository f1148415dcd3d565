// Draws sources, syncs and destinations from left to right. Nodes are HTML, edges are SVG.
//
// A sync has one source, so the drawing is a forest: below a source come its syncs, and below a
// sync those whose source is one of its copies. All heights are known before anything is drawn.

import { badge, count, fullName, grouped, h, icon, s, splitName, WORDS } from "./dom.js";
import { address } from "./route.js";

const COLUMN = { source: 230, sync: 250, destinations: 230 };
const GAP = 44; // between columns
const SPACE = 16; // between nodes of a column
const NODE = 58; // height of a source or sync
const HEAD = 36;
const ROW = 25;

// Return the graph of an answer of /api/graph.
export function graph(answer, route) {
  const canvas = h("div", { class: "canvas" });
  const edges = s("svg", { class: "edges", "aria-hidden": "true" });
  canvas.append(edges);
  const drawing = { canvas, edges, route, right: 0 };
  let top = 0;
  for (const tree of forest(answer.syncs)) top = drawSource(drawing, tree, top) + SPACE;
  for (const element of [canvas, edges]) {
    element.style.width = `${drawing.right}px`;
    element.style.height = `${top}px`;
  }
  return [
    h("p", { class: "caption quiet" }, caption(answer, route)),
    h(
      "div",
      {
        class: "scroll",
        tabindex: "0",
        role: "region",
        "aria-label": "Graph of sources, syncs and destinations",
      },
      canvas,
    ),
  ];
}

function caption(answer, route) {
  if (route.focus) {
    const found = answer.cut ? "The chain is longer than the graph." : "";
    return [
      `The chain of ${route.focus}. ${found} `,
      h("a", { href: address({ focus: "" }) }, "Show all syncs"),
    ];
  }
  const shown = answer.syncs.filter((each) => each.matched).length;
  return shown < answer.matches
    ? `${shown} of ${count(answer.matches, "sync")}, the worst states first. Filter to see others.`
    : count(answer.matches, "sync") + (answer.matches > 1 ? ", the worst states first." : "");
}

// Return the sources that no drawn sync writes, each with its syncs.
function forest(nodes) {
  const byKey = new Map(nodes.map((node) => [key(node), { ...node, children: [] }]));
  const sources = new Map();
  for (const node of byKey.values()) {
    const upstream = byKey.get(node.upstream);
    if (upstream && !leadsTo(byKey, node.upstream, key(node))) upstream.children.push(node);
    else {
      const name = node.sync.source || `${key(node)} (invalid spec)`;
      if (!sources.has(name))
        sources.set(name, { name, exists: node.sourceExists, copy: node.upstream, syncs: [] });
      sources.get(name).syncs.push(node);
    }
  }
  return sources.values();
}

// Return whether the chain before `from` comes back to `to`: such a loop is drawn open.
function leadsTo(byKey, from, to) {
  for (
    let steps = 0, at = from;
    steps <= byKey.size && at;
    steps += 1, at = byKey.get(at)?.upstream
  ) {
    if (at === to) return true;
  }
  return false;
}

function key(node) {
  return `${node.sync.namespace}/${node.sync.name}`;
}

function drawSource(drawing, source, top) {
  let bottom = top;
  const middles = [];
  for (const node of source.syncs) {
    const drawn = drawSync(drawing, node, COLUMN.source + GAP, bottom);
    middles.push([drawn.middle, node.sync.state]);
    bottom = drawn.bottom + SPACE;
  }
  const middle = (middles[0][0] + middles.at(-1)[0]) / 2;
  const problem = source.exists ? null : badge("failed", "not found");
  place(
    drawing,
    0,
    middle - NODE / 2,
    COLUMN.source,
    NODE,
    h(
      "a",
      {
        class: "node source",
        href: address({ q: source.name, focus: "" }),
        "data-key": `source ${source.name}`,
      },
      h("span", { class: "kind" }, "Source", problem),
      splitName(source.name),
    ),
  );
  for (const [to, state] of middles)
    edge(drawing, COLUMN.source, middle, COLUMN.source + GAP, to, state);
  return bottom - SPACE;
}

function drawSync(drawing, node, left, top) {
  const height = heightOf(node);
  const middle = top + height / 2;
  const cardLeft = left + COLUMN.sync + GAP;
  const next = cardLeft + COLUMN.destinations + GAP;
  let childTop = top;
  for (const child of node.children) {
    const from = copyMiddle(node, child, top, height);
    const drawn = drawSync(drawing, child, next, Math.max(childTop, from - heightOf(child) / 2));
    edge(drawing, next - GAP, from, next, drawn.middle, child.sync.state);
    childTop = drawn.bottom + SPACE;
  }
  place(drawing, left, middle - NODE / 2, COLUMN.sync, NODE, syncNode(node, drawing.route));
  place(drawing, cardLeft, top, COLUMN.destinations, height, card(node));
  edge(drawing, left + COLUMN.sync, middle, cardLeft, middle, node.sync.state);
  return { middle, bottom: Math.max(top + height, childTop - SPACE) };
}

function heightOf(node) {
  const rows = node.destinations.length + (hidden(node) > 0);
  return Math.max(NODE, HEAD + ROW * rows + 6);
}

// Return where the copy stands that is the source of a sync, or the middle of the card.
function copyMiddle(node, child, top, height) {
  const index = node.destinations.findIndex(
    (each) => `${each.namespace}/${each.name}` === child.sync.source,
  );
  return index < 0 ? top + height / 2 : top + HEAD + ROW * (index + 0.5);
}

function syncNode(node, route) {
  const { sync } = node;
  return h(
    "a",
    {
      class: `node sync ${sync.state} ${route.sync === key(node) ? "selected" : ""}`,
      href: address({ sync: key(node) }),
      "data-key": key(node),
      "data-row": true,
    },
    h(
      "span",
      { class: "kind" },
      "Sync",
      badge(sync.state, sync.state === "failed" ? sync.reason : undefined),
    ),
    fullName(sync.namespace, sync.name),
  );
}

// Return the card with the destinations of a sync: the number, the worst ones, and how many more.
function card(node) {
  const more = hidden(node);
  return h(
    "section",
    { class: "node card", "aria-label": `Destinations of ${key(node)}` },
    h(
      "div",
      { class: "kind" },
      node.total ? count(node.total, "destination") : "No copy yet",
      node.sync.desired !== null &&
        h("span", { class: "number" }, `${node.sync.synced}/${node.sync.desired}`),
    ),
    h(
      "ul",
      {},
      node.destinations.map((each) =>
        h(
          "li",
          { title: each.message },
          icon(each.state),
          h("span", { class: "visually-hidden" }, WORDS[each.state]),
          h("span", { class: "name" }, each.namespace),
        ),
      ),
    ),
    more > 0 &&
      h(
        "a",
        { class: "more", href: address({ sync: key(node) }), "data-key": `more ${key(node)}` },
        `and ${grouped(more)} more`,
      ),
  );
}

function hidden(node) {
  return node.total - node.destinations.length;
}

function place(drawing, left, top, width, height, element) {
  Object.assign(element.style, {
    left: `${left}px`,
    top: `${top}px`,
    width: `${width}px`,
    height: `${height}px`,
  });
  drawing.canvas.append(element);
  drawing.right = Math.max(drawing.right, left + width);
}

function edge(drawing, x1, y1, x2, y2, state) {
  const bend = (x2 - x1) / 2;
  drawing.edges.append(
    s("path", {
      class: `edge ${state}`,
      d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`,
    }),
  );
}
