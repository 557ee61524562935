// The data of the run, and how numbers and elements are written. The files of this folder are joined in the order that
// page/index.py names, and share one scope.

// What is large lies in the page compressed: report.json, and the figures.
async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

const DATA = JSON.parse(await unpacked("data"));
const { run: RUN, papers: PAPERS, models: MODELS, metrics: METRICS, rules: RULES } = DATA;
const [NUMBERS, CLAIMS, COUNTS, TIMINGS, SPEEDS, TRAINED, LEARNED, WITNESSES] = ["numbers", "claims", "counts", "timings", "speeds", "trained", "curves", "witnesses"]
  .map((name) => rowsOf(DATA.tables[name]));
const BUILT = "hyper-parameters";
// A hyper-parameter builds our model: that it is equal is no measurement, so it counts as a kind of its own.
for (const row of NUMBERS) row.kind = row.evidence === BUILT ? BUILT : row.verdict;
const BY_ID = new Map([...NUMBERS, ...CLAIMS].map((row) => [row.id, row]));

// The rows of a table of columns; a column of texts that repeat is {values, index}.
function rowsOf(table) {
  const names = Object.keys(table);
  const lists = names.map((name) => (Array.isArray(table[name]) ? table[name] : table[name].index.map((i) => table[name].values[i])));
  return lists[0].map((_, row) => Object.fromEntries(names.map((name, column) => [name, lists[column][row]])));
}

// An element with its attributes (of `on...` the listener) and children; text is never read as markup.
function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const $ = (selector) => document.querySelector(selector);

// A number with four significant digits, whole ones in full, as the tables have it.
function shown(value) {
  if (value === null) return "";
  if (Math.abs(value) >= 1000) return value.toLocaleString("en", { maximumFractionDigits: 0 });
  return String(Number(value.toPrecision(4)));
}

function interval(low, high) {
  return low === null || high === null || low === high ? "" : `[${shown(low)}, ${shown(high)}]`;
}

// The range that a card declares for a claim, in words; a limit that there is not is null.
function declared(claim) {
  if (claim.low === null && claim.high === null) return "";
  if (claim.high === null) return `at least ${shown(claim.low)}`;
  if (claim.low === null) return `at most ${shown(claim.high)}`;
  return `${shown(claim.low)} to ${shown(claim.high)}`;
}

const withUnit = (value, unit) => (value === "" ? "" : `${value} ${unit}`.trim());
const tableName = (id) => id.replace(/_/g, " ").replace(/^table/, "Table ");
const badge = (outcome) => h("span", { class: `outcome ${cssName(outcome)}` }, outcome);
const cssName = (outcome) => outcome.replaceAll(" ", "-");

// A button that copies a text, and says so.
function copyButton(text, label = "Copy") {
  const button = h("button", { type: "button", onclick: () => copied(button, text, label) }, label);
  return button;
}

async function copied(button, text, label) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // a page of a file may not be allowed to
    const area = h("textarea", { class: "hidden" });
    area.value = text;
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1500);
}

function save(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  URL.revokeObjectURL(link.href);
}

const csvCell = (value) => (/[",\n]/.test(value ?? "") ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ""));

function csv(rows, columns) {
  return [columns, ...rows.map((row) => columns.map((column) => row[column]))].map((line) => line.map(csvCell).join(",")).join("\n") + "\n";
}
