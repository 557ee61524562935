// The table of numbers: a window of it, for what is asked.
const WINDOW = 20;
const FACETS = { paper: "paper", verdict: "kind", metric: "metric", model: "model", evidence: "evidence" };
// A column: heading, what it is sorted by, its cell.
const COLUMNS = [
  ["number", (row) => row.row.toLowerCase(), (row) => h("a", { href: `#${row.id}` }, row.row)],
  ["quantity", (row) => row.metric, (row) => [row.column, h("small", {}, quantity(row))]],
  ["printed", (row) => Number(row.published), (row) => `${withUnit(row.published, row.unit)}${row.verified === "yes" ? "" : " †"}`],
  ["ours", (row) => row.measured, (row) => [withUnit(shown(row.measured), row.unit), row.witness === null ? "" : h("small", {}, `others ${shown(row.witness)}`)]],
  ["off by", (row) => (row.ratio === null ? null : Math.abs(row.ratio - 1)), (row) => offBy(row)],
  ["verdict", (row) => DATA.order.numbers.indexOf(row.kind), (row) => [badge(row.kind), h("small", { class: "why" }, row.reason)]],
  ["where", (row) => row.paper, (row) => [h("a", { href: `papers/${row.paper}.html#${row.paper}-${row.table}` }, row.paper), h("small", {}, tableName(row.table))]],
];

function quantity(row) {
  const size = row.image_size ? ` at ${row.image_size} px` : "";
  return `${METRICS[row.metric].description.split(" (")[0]}${row.dataset ? ` on ${row.dataset}` : ""}${size}`;
}

function offBy(row) {
  if (row.ratio === null) return "";
  const percent = 100 * (row.ratio - 1);
  return Math.abs(percent) < 0.005 ? "0 %" : `${percent > 0 ? "+" : "−"}${Math.abs(percent).toPrecision(2)} %`;
}

function foundNumbers() {
  const kept = NUMBERS.filter((row) => Object.entries(FACETS).every(([key, field]) => !state[key] || row[field] === state[key]));
  return sorted(matching(kept, wordsOfNumber, state.q));
}

function sorted(rows) {
  const column = COLUMNS.find(([name]) => name === state.sort.replace(/^-/, ""));
  if (!column) return rows;
  const sign = state.sort.startsWith("-") ? -1 : 1;
  const key = column[1];
  const empty = (value) => value === null || value === "";
  return [...rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (empty(x) || empty(y)) return empty(x) - empty(y);  // what is not there comes last
    return sign * (x < y ? -1 : x > y ? 1 : 0);
  });
}

function renderNumbers() {
  const found = foundNumbers();
  $("#numbers-found").textContent = found.length === 1 ? "1 number" : `${found.length.toLocaleString("en")} numbers`;
  const page = paged("page", found.length);
  const rows = found.slice((page - 1) * WINDOW, page * WINDOW);
  const head = COLUMNS.map(([name]) => {
    const order = state.sort === name ? "ascending" : state.sort === `-${name}` ? "descending" : "none";
    const next = { none: name, ascending: `-${name}`, descending: "" }[order];
    return h("th", { scope: "col", "aria-sort": order }, h("button", { type: "button", onclick: () => ask({ sort: next }) }, name));
  });
  const body = rows.map((row) => h("tr", {}, COLUMNS.map(([name, , cell], place) =>
    h(place ? "td" : "th", { "data-name": name, class: name.replace(" ", "-"), ...(place ? {} : { scope: "row" }) }, cell(row)))));
  $("#numbers-table").replaceChildren(h("caption", { class: "hidden" }, "Printed numbers with ours and the verdict"), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
  $("#numbers").classList.toggle("empty", !found.length);
  renderPager("#numbers-pager", "page", page, found.length);
  for (const key of Object.keys(FACETS)) $(`#facet-${key}`).value = state[key];
  $("#clear").hidden = !state.q && Object.keys(FACETS).every((key) => !state[key]);
}

// The page of a window that is asked for, within those that there are.
function paged(key, length) {
  return Math.max(1, Math.min(Number(state[key]) || 1, Math.ceil(length / WINDOW)));
}

function renderPager(place, key, page, length) {
  const last = Math.max(1, Math.ceil(length / WINDOW));
  const step = (to, label) => h("button", { type: "button", disabled: to < 1 || to > last, onclick: () => ask({ [key]: String(to) }) }, label);
  $(place).replaceChildren(...(last > 1 ? [step(page - 1, "Previous"), h("span", {}, `${page} of ${last.toLocaleString("en")}`), step(page + 1, "Next")] : []));
}

function fillFacets() {
  for (const [key, field] of Object.entries(FACETS)) {
    const values = new Map();
    for (const row of NUMBERS) values.set(row[field], (values.get(row[field]) ?? 0) + 1);
    const order = key === "verdict" ? DATA.order.numbers.filter((kind) => values.has(kind)) : [...values.keys()].sort();
    if (key === "model") continue;  // typed, with the list of models to choose from
    $(`#facet-${key}`).append(...order.map((value) => h("option", { value }, `${value || "none"} (${values.get(value).toLocaleString("en")})`)));
  }
}
