// The claims, each with its estimate and interval beside the range that its card declares; and what differs, by cause.
function foundClaims() {
  const kept = CLAIMS.filter((row) => (!state.paper || row.paper === state.paper) && (!state.status || row.status === state.status));
  const order = (row) => DATA.order.claims.indexOf(row.status);
  return matching(kept, wordsOfClaim, state.q).sort((a, b) => order(a) - order(b));
}

function renderClaims() {
  const found = foundClaims();
  $("#claims-found").textContent = found.length === 1 ? "1 claim" : `${found.length} claims`;
  const page = paged("claims", found.length);
  $("#claims-table tbody").replaceChildren(...found.slice((page - 1) * WINDOW, page * WINDOW).map((claim) => h("tr", {},
    h("th", { scope: "row", "data-name": "claim" }, h("a", { href: `#${claim.id}` }, claim.statement), h("small", {}, `${claim.paper}, ${claim.where}`)),
    h("td", { "data-name": "ours" }, claim.estimate === null ? "" : [estimated(claim), intervalBar(claim)]),
    h("td", { "data-name": "declared" }, withUnit(declared(claim), claim.unit)),
    h("td", { "data-name": "gates and power" }, claim.look === null ? "" : [claim.gates ? `passes ${claim.gates}` : "passes no gate", h("small", {}, powerOf(claim))]),
    h("td", { "data-name": "status" }, badge(claim.status), h("small", { class: "why" }, claim.reason)),
  )));
  $("#claims").classList.toggle("empty", !found.length);
  renderPager("#claims-pager", "claims", page, found.length);
  $("#facet-status").value = state.status;
}

// What a contrast of trainings can see, at the look that it has reached.
function powerOf(claim) {
  return [
    claim.power === null ? "" : `power ${shown(claim.power)} for ${withUnit(shown(claim.counts), claim.unit)}`,
    claim.detectable === null ? "" : `sees ${withUnit(shown(claim.detectable), claim.unit)} in 80 %`,
  ].filter(Boolean).join("; ");
}

function estimated(claim) {
  const seeds = claim.n_seeds ? `, ${claim.n_seeds} seeds` : "";
  return `${withUnit([shown(claim.estimate), interval(claim.ci_low, claim.ci_high)].join(" ").trim(), claim.unit)}${seeds}`;
}

// The declared range as a band and our interval as a line with a dot, on one axis; an end that there is not runs out.
function intervalBar(claim) {
  const ends = [claim.low, claim.high, claim.ci_low, claim.ci_high, claim.estimate].filter((value) => value !== null);
  const [least, most] = [Math.min(...ends), Math.max(...ends)];
  const pad = (most - least || Math.abs(most) || 1) * 0.25;
  const at = (value) => 100 * (value - least + pad) / (most - least + 2 * pad);
  const span = (kind, low, high) => h("i", { class: kind, style: `left:${low.toFixed(1)}%;width:${Math.max(high - low, 0.5).toFixed(1)}%` });
  const text = `ours ${estimated(claim)}; declared ${declared(claim)}`;
  return h("span", { class: "interval-bar", role: "img", "aria-label": text },
    span("range", claim.low === null ? 0 : at(claim.low), claim.high === null ? 100 : at(claim.high)),
    claim.ci_low === null ? "" : span("interval", at(claim.ci_low), at(claim.ci_high)),
    h("i", { class: `dot ${cssName(claim.status)}`, style: `left:${at(claim.estimate).toFixed(1)}%` }));
}

// What differs, most numbers first; the rows of a cause are made when it is opened.
function renderDifferences() {
  const groups = new Map();
  for (const row of NUMBERS) if (row.verdict === "differs") groups.set(row.cause, [...(groups.get(row.cause) ?? []), row]);
  const listed = [...groups].sort((a, b) => b[1].length - a[1].length);
  $("#differences-list").replaceChildren(...listed.map(([cause, rows]) => {
    const papers = [...new Set(rows.map((row) => row.paper))].join(", ");
    const count = rows.length === 1 ? "1 number" : `${rows.length} numbers`;
    const group = h("details", {}, h("summary", {}, h("b", {}, `${papers}, ${count}`), ` ${cause || "No cause is recorded."}`));
    group.addEventListener("toggle", () => {
      if (group.open && group.children.length === 1) group.append(h("ul", {}, rows.map((row) => h("li", {},
        h("a", { href: `#${row.id}` }, `${row.row}, ${row.column}`), ` ${tableName(row.table)}: printed ${withUnit(row.published, row.unit)}, ours ${withUnit(shown(row.measured), row.unit)}`))));
    });
    return group;
  }));
}
