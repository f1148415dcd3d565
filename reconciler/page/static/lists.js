// The tables of syncs, copies and events, and their paging.

import { age, badge, count, fullName, grouped, h, icon, splitName } from "./dom.js";
import { address } from "./route.js";

// Return the table of syncs.
export function syncs(page, route) {
  return paged(
    page,
    "sync",
    table(
      "Syncs",
      [
        ["State", "narrow"],
        ["Sync"],
        ["Source", "wide"],
        ["Copies"],
        ["Reason", "medium"],
        ["Last write", "medium"],
      ],
      page.rows.map((row) => syncRow(row, route)),
    ),
  );
}

function syncRow(row, route) {
  const key = `${row.namespace}/${row.name}`;
  return h(
    "tr",
    { class: route.sync === key && "selected" },
    h("td", {}, badge(row.state)),
    h(
      "td",
      {},
      h(
        "a",
        { href: address({ sync: key }), "data-key": key, "data-row": true },
        fullName(row.namespace, row.name),
      ),
      row.state === "failed" && h("b", { class: "only-small small" }, row.reason),
    ),
    h(
      "td",
      { class: "wide" },
      row.source ? splitName(row.source) : h("span", { class: "quiet" }, "invalid spec"),
    ),
    h("td", {}, copies(row)),
    h("td", { class: "medium reason" }, reason(row)),
    h("td", { class: "medium quiet" }, age(row.written)),
  );
}

// Return the number of copies that are up to date, as text and as a bar.
export function copies(row) {
  if (row.desired === null) return h("span", { class: "quiet" }, "–");
  const bar = h("span", { class: "meter", "aria-hidden": "true" });
  for (const [state, number] of [
    ["synced", row.synced],
    ["failed", row.failed],
  ]) {
    const part = h("span", { class: state });
    part.style.width = `${row.desired ? Math.min(100, (number / row.desired) * 100) : 0}%`;
    bar.append(part);
  }
  return h(
    "span",
    { class: "copies" },
    bar,
    h("span", { class: "number" }, `${row.synced}/${row.desired}`),
  );
}

function reason(row) {
  const quiet = row.state === "synced" || row.state === "suspended";
  return h(
    "span",
    { class: "line", title: row.message },
    !quiet && h("b", {}, row.reason),
    !quiet && row.reason && " ",
    h("span", { class: "quiet" }, row.message),
  );
}

// Return the table of copies.
export function copyTable(page) {
  return paged(
    page,
    "copy",
    table(
      "Copies",
      [["State", "narrow"], ["Copy"], ["Sync"], ["Source", "wide"], ["Reason", "medium"]],
      page.rows.map((row) =>
        h(
          "tr",
          {},
          h("td", {}, badge(row.state)),
          h("td", {}, fullName(row.namespace, row.name), marks(row)),
          h(
            "td",
            {},
            row.state === "orphaned"
              ? splitName(row.sync || "unknown")
              : h(
                  "a",
                  {
                    href: address({ sync: row.sync }),
                    "data-key": `${row.namespace}/${row.name} ${row.sync}`,
                    "data-row": true,
                  },
                  splitName(row.sync),
                ),
          ),
          h("td", { class: "wide" }, row.source && splitName(row.source)),
          h("td", { class: "medium reason" }, reason(row)),
        ),
      ),
    ),
    "copies",
  );
}

// Return what is particular about a copy.
export function marks(row) {
  return [row.adopted && "adopted", row.immutable && "immutable", !row.present && "no copy"]
    .filter(Boolean)
    .map((word) => h("span", { class: "mark" }, word));
}

// Return the table of events.
export function events(page) {
  return paged(
    page,
    "event",
    table(
      "Events",
      [["Last", "narrow"], ["Reason"], ["Object"], ["Message"], ["Count", "medium"]],
      page.rows.map((row) =>
        h(
          "tr",
          {},
          h("td", { class: "quiet" }, age(row.last)),
          h(
            "td",
            {},
            h(
              "span",
              { class: `badge ${row.type === "Warning" ? "failed" : "plain"}` },
              icon(row.type === "Warning" ? "warning" : "note"),
              row.reason,
            ),
          ),
          h("td", {}, object(row)),
          h("td", { class: "message" }, row.message),
          h("td", { class: "medium number" }, String(row.count)),
        ),
      ),
    ),
  );
}

function object(row) {
  const name = fullName(row.namespace, row.name);
  const key = `${row.namespace}/${row.name}`;
  return h(
    "span",
    {},
    row.kind === "ConfigMapSync"
      ? h(
          "a",
          {
            href: address({ sync: key }),
            "data-key": `event ${key} ${row.last}`,
            "data-row": true,
          },
          name,
        )
      : name,
    h("span", { class: "quiet small" }, ` ${row.kind}`),
  );
}

function table(caption, columns, rows) {
  return h(
    "table",
    {},
    h("caption", { class: "visually-hidden" }, caption),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        columns.map(([title, name]) => h("th", { scope: "col", class: name }, title)),
      ),
    ),
    h("tbody", {}, rows),
  );
}

// Return a table with the links to its other pages.
function paged(page, one, content, many = `${one}s`) {
  const size = page.rows.length;
  const last = page.offset + size;
  return [
    content,
    h(
      "nav",
      { class: "pages", "aria-label": "Pages" },
      h(
        "span",
        { class: "quiet" },
        size < page.total
          ? `${grouped(page.offset + 1)} to ${grouped(last)} of ${count(page.total, one, many)}`
          : count(page.total, one, many),
      ),
      page.offset > 0 &&
        h(
          "a",
          {
            class: "button",
            "data-key": "previous",
            href: address({ offset: String(Math.max(0, page.offset - PAGE)) }),
          },
          "Previous",
        ),
      last < page.total &&
        h(
          "a",
          { class: "button", "data-key": "next", href: address({ offset: String(last) }) },
          "Next",
        ),
    ),
  ];
}

// The number of rows on a page.
export const PAGE = 100;
