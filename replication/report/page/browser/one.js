// A view of one number or claim, by its permalink #<id>: all that is known of it, the command, and how to cite it.
function renderOne() {
  const dialog = $("#one");
  const id = decodeURIComponent(location.hash.slice(1));
  const row = BY_ID.get(id);
  $("#unknown").hidden = Boolean(row) || !id.includes("/");
  $("#unknown").textContent = `No number and no claim of this run has the id ${id}.`;
  if (!row) {
    if (dialog.open) dialog.close();
    return;
  }
  const facts = "statement" in row ? factsOfClaim(row) : factsOfNumber(row);
  $("#one-title").replaceChildren(...("statement" in row ? [row.statement] : [`${row.row}: ${row.column} `, h("b", {}, withUnit(row.published, row.unit))]));
  $("#one-facts").replaceChildren(...facts.filter(([, ...fact]) => fact.flat().some((part) => part)).flatMap(([name, ...fact]) => [h("dt", {}, name), h("dd", {}, ...fact)]));
  $("#one-cite").replaceChildren(citing(row));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function paperFacts(row) {
  const paper = PAPERS[row.paper];
  return [
    h("a", { href: `papers/${row.paper}.html#${row.id}` }, paper.title), ` (${paper.venue} ${paper.year}), `,
    h("a", { href: `https://arxiv.org/abs/${paper.arxiv}` }, `arXiv:${paper.arxiv}`),
  ];
}

function factsOfNumber(row) {
  const table = PAPERS[row.paper].tables[row.table];
  const label = MODELS[row.model]?.label;
  const hardware = row.hardware ? `, by a ${row.hardware}` : "";
  return [
    ["verdict", badge(row.verdict), row.kind === BUILT ? " (a hyper-parameter: it builds our model, so this is no measurement)" : ""],
    ["printed", `${withUnit(row.published, row.unit)}: ${quantity(row)}${hardware}`],
    ["ours", ...oursOf(row)],
    ...speedsOf(row),
    ["others", ...witnessesOf(row)],
    ["why", row.reason.replace(`; ${row.cause}`, "")],
    ["cause", row.cause],
    ["model", label ? `${label} (${row.model})` : `${row.model}, which the suite does not build`],
    ["paper", ...paperFacts(row)],
    ["table", `${tableName(row.table)}: ${table.title}`],
    ["source", `${row.source}; ${RULES.read[row.verified] ?? row.verified}`],
    ["notes", [...new Set([...row.note.split("; "), ...table.notes])].filter(Boolean).join(". ")],
    ["also printed", ...alsoPrinted(row)],
    ...commandFacts(row),
  ];
}

function oursOf(row) {
  if (row.measured === null) return ["none"];
  const found = [`${withUnit(row.measured.toPrecision(6).replace(/\.?0+$/, ""), row.unit)}${row.ratio === null ? "" : `, ${offBy(row)} off`}`];
  if (row.evidence === "counted") found.push("; a count is exact and has no interval");
  const count = COUNTS.find((one) => one.model === row.model && one.image_size === sizeOf(row));
  if (row.metric === "macs" && count) {
    const ways = { "fvcore": count.macs_fvcore, "PyTorch's dispatcher": count.macs_dispatch, "closed form": count.macs_formula };
    found.push(h("small", {}, Object.entries(ways).filter(([, macs]) => macs !== null).map(([way, macs]) => `${way} ${macs.toLocaleString("en")}`).join("; "), ` (${count.gate})`));
  }
  return found;
}

const sizeOf = (row) => row.image_size ?? MODELS[row.model]?.image_size ?? null;

// Of a speed, its multiple of the reference row in every run that timed it.
function speedsOf(row) {
  return SPEEDS.filter((speed) => speed.id === row.id).map((speed) => [
    "interval",
    `${shown(speed.ratio)} ${interval(speed.ci_low, speed.ci_high)} times as fast as ${speed.reference}, printed ${shown(speed.published_ratio)} times; `
    + `${speed.condition} on ${speed.machine}${speed.valid ? "" : `; not valid: ${speed.invalid}`}`,
  ]);
}

// What others found of the same network, each with who, how and where; long lists are folded.
function witnessesOf(row) {
  const found = WITNESSES.filter((one) => one.number === row.id);
  if (!found.length) return [];
  const items = found.map((one) => {
    const how = [one.who, one.date, one.crop && `crop ${one.crop}`, one.interpolation, one.recipe && `${one.recipe} recipe`, one.epochs && `${one.epochs} epochs`].filter(Boolean);
    return h("li", {}, h("b", {}, withUnit(one.value, row.unit)), ` (${Number(one.difference) > 0 ? "+" : ""}${one.difference}), ${one.kind}, ${one.confidence}`, h("small", {}, `${how.join(", ")}; ${one.source}`));
  });
  const summary = row.witness === null ? "" : `${withUnit(shown(row.witness), row.unit)} ${interval(row.witness_low, row.witness_high)}, ${row.witness_kind}`;
  return [summary, h("details", { open: found.length < 4 }, h("summary", {}, found.length === 1 ? "1 witness" : `${found.length} witnesses`), h("ul", {}, items))];
}

// The same quantity of the same model at the same size, in other tables.
function alsoPrinted(row) {
  const same = NUMBERS.filter((other) => other !== row && other.model === row.model && other.metric === row.metric
    && other.dataset === row.dataset && sizeOf(other) === sizeOf(row) && MODELS[row.model]);
  return same.flatMap((other, place) => [place ? "; " : "", h("a", { href: `#${other.id}` }, `${other.paper} ${tableName(other.table)}`), `: ${withUnit(other.published, other.unit)} (${other.kind})`]);
}

function factsOfClaim(row) {
  const seeds = row.n_seeds ? `, ${row.n_seeds} seeds` : "";
  const q = row.q_value === null ? "" : `, q ${shown(row.q_value)}`;
  return [
    ["status", badge(row.status)],
    ["printed", [row.published_numbers, row.published_effect === null ? "" : `a difference of ${withUnit(shown(row.published_effect), row.unit)}`].filter(Boolean).join("; ")],
    ["ours", row.estimate === null ? "none" : `${estimated(row).replace(seeds, "")} (${[row.scale, row.source].filter(Boolean).join(", ")}${seeds}${q})`,
      row.estimate === null ? "" : intervalBar(row)],
    ["declared", withUnit(declared(row), row.unit), row.kind ? ` (${row.kind}${row.counts === null ? "" : `; what counts: ${withUnit(shown(row.counts), row.unit)}`})` : ""],
    ["why", row.reason],
    ...(row.look === null ? [] : [["test", testOf(row)]]),
    ["paper", ...paperFacts(row)],
    ["where", row.where],
    ...commandFacts(row),
  ];
}

// Which look it is, which gates the trainings pass, and what such a look can see.
function testOf(row) {
  return [
    `look ${row.look} of 4`,
    `gates passed: ${row.gates || "none"}`,
    row.detectable === null ? "" : `sees ${withUnit(shown(row.detectable), row.unit)} with a power of 0.8`,
    row.image_error === null ? "" : `error from the images alone ${withUnit(shown(row.image_error), row.unit)}`,
    row.disagreement === null ? "" : `the arms disagree on ${shown(row.disagreement)} % of the images`,
  ].filter(Boolean).join("; ");
}

function commandFacts(row) {
  return row.command
    ? [["command", h("pre", { tabindex: "0" }, row.command), copyButton(row.command, "Copy command")], ["takes", row.takes]]
    : [["command", "none: nothing at hand gives our number"]];
}

// --- citing --------------------------------------------------------------------------------------------------------

// The address of a number or claim: where the page is published, or within the report of the run.
function permalink(row) {
  const place = location.protocol === "file:" ? "report/index.html" : location.origin + location.pathname;
  return row ? `${place}#${row.id}` : place;
}

function cited(row) {
  const title = !row ? RUN.title : "statement" in row
    ? `“${row.statement}”: ${row.status}`
    : `${row.row}, ${row.column} (${withUnit(row.published, row.unit)}): ${row.verdict}`;
  const note = `Run of ${RUN.date}, commit ${RUN.commit.slice(0, 12)}, results ${RUN.digest}`;
  return { title, note, key: `vitreplication-${(row?.id ?? "run").replace(/[^a-z0-9]+/gi, "-")}`, year: RUN.date.slice(0, 4) };
}

function bibtex(row) {
  const { title, note, key, year } = cited(row);
  const safe = (text) => text.replace(/[&%$#_{}]/g, "\\$&");
  const part = row ? `  howpublished = {In: ${safe(RUN.title)}, version ${RUN.version}},\n` : `  version = {${RUN.version}},\n`;
  return `@misc{${key},\n  author = {{${RUN.author}}},\n  title = {${safe(title)}},\n${part}  year = {${year}},\n  note = {${safe(note)}; ${safe(permalink(row))}}\n}\n`;
}

function csl(row) {
  const { title, note, key, year } = cited(row);
  const [, month, day] = RUN.date.split("-").map(Number);
  return `${JSON.stringify([{
    id: key, type: row ? "entry" : "software", title, ...(row ? { "container-title": RUN.title } : {}), version: RUN.version,
    author: [{ literal: RUN.author }], issued: { "date-parts": [[Number(year), month, day]] }, note, URL: permalink(row),
  }], null, 2)}\n`;
}

function plainCitation(row) {
  const { title, note, year } = cited(row);
  return `${RUN.author} (${year}). ${title}. ${row ? `In: ${RUN.title}, version` : "Version"} ${RUN.version}. ${note}; ${permalink(row)}\n`;
}

// Three forms with a button each; the paper is to be cited as well.
function citing(row) {
  const forms = { "BibTeX": bibtex(row), "CSL-JSON": csl(row), "Plain text": plainCitation(row) };
  return h("div", { class: "citing" }, Object.entries(forms).map(([name, text]) =>
    h("details", { open: name === "BibTeX" }, h("summary", {}, name), h("pre", { tabindex: "0" }, text), copyButton(text, `Copy ${name}`))));
}
