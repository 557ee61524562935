// Everything that is drawn again when what is asked for changes, and who asks.
function render() {
  readAddress();
  const typed = state.q !== "";
  if ($("#q").value !== state.q) $("#q").value = state.q;
  // While somebody searches, the hits come first: the bars make room, and can be opened again.
  if (typed !== render.typed) $("#bars").open = !typed;
  render.typed = typed;
  renderNumbers();
  renderClaims();
  $("#hits").textContent = state.q ? `${$("#numbers-found").textContent}, ${$("#claims-found").textContent}` : "";
  if (render.seen) renderCurves();
  renderOne();
}

// Curves are drawn when they come near the window, pictures when their part is opened.
function whenNear(element, then) {
  new IntersectionObserver((entries, observer) => {
    if (entries.some((entry) => entry.isIntersecting)) {
      observer.disconnect();
      then();
    }
  }, { rootMargin: "600px" }).observe(element);
}

async function showFigure(part) {
  const text = await unpacked(part.dataset.packed);
  part.querySelector("img").src = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
}

function start() {
  fillFacets();
  const timed = CONDITIONS.flatMap((condition) => [["images/s", "images/s"], ["ms", "latency"]].map(([kind, name]) => h("option", { value: `${kind}@${condition}` }, `${name}: ${condition}`)));
  $("#curves-cost").append(...Object.entries(COSTS).map(([name, [label]]) => h("option", { value: name }, label)), ...timed);
  $("#models-list").append(...[...new Set([...COUNTS, ...NUMBERS].map((row) => row.model))].filter((model) => MODELS[model] || COUNTS.some((row) => row.model === model)).sort()
    .map((model) => h("option", { value: model }, MODELS[model]?.label ?? model)));
  renderDifferences();
  render();

  $("#q").addEventListener("input", () => {
    ask({ q: $("#q").value }, { typing: true, hash: "" });
    if ($("#numbers").getBoundingClientRect().top > innerHeight / 2) $("search").scrollIntoView();  // a small window
  });
  for (const key of Object.keys(FACETS)) $(`#facet-${key}`).addEventListener("change", (event) => ask({ [key]: event.target.value }));
  $("#facet-status").addEventListener("change", (event) => ask({ status: event.target.value }));
  for (const key of ["cost", "over", "from", "to", "scale"]) $(`#curves-${key}`).addEventListener("change", (event) => ask({ [key]: event.target.value }));
  $("#curves-add").addEventListener("change", (event) => {
    const model = event.target.value.trim();
    if (COUNTS.some((row) => row.model === model)) {
      ask({ models: [...chosenModels(), model].join(" ") });
      event.target.value = "";
    }
  });
  $("#clear").addEventListener("click", () => ask({ q: "", paper: "", verdict: "", metric: "", model: "", evidence: "" }));
  $("#numbers-csv").addEventListener("click", () => save(new Blob([csv(foundNumbers(), Object.keys(DATA.tables.numbers))], { type: "text/csv" }), "numbers.csv"));
  $("#claims-csv").addEventListener("click", () => save(new Blob([csv(foundClaims(), Object.keys(DATA.tables.claims))], { type: "text/csv" }), "claims.csv"));
  $("#curves-csv").addEventListener("click", (event) => copied(event.target, curvesCsv(), "Copy as CSV"));
  $("#curves-picture").addEventListener("click", savePicture);
  $("#cite-run").append(citing(null));
  // A link to a filter of this page changes the address alone.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='?']");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const { search, hash } = new URL(link.href);
    history.pushState(null, "", location.pathname + search + hash);
    render();
    document.querySelector(hash || "#top")?.scrollIntoView();
  });
  $("#one").addEventListener("close", () => {
    if (BY_ID.has(decodeURIComponent(location.hash.slice(1)))) history.pushState(null, "", location.pathname + location.search);
  });
  for (const event of ["popstate", "hashchange"]) addEventListener(event, render);
  setTimeout(() => [...NUMBERS.map(wordsOfNumber), ...CLAIMS.map(wordsOfClaim)], 50);  // before somebody asks
  whenNear($("#curves"), () => { render.seen = true; renderCurves(); });
  addEventListener("resize", () => plot?.setSize({ width: Math.max(280, Math.min(960, $("#curves-plot").clientWidth)), height: 380 }));
  for (const part of document.querySelectorAll("details[data-packed]")) part.addEventListener("toggle", () => showFigure(part), { once: true });
  for (const part of document.querySelectorAll("details[data-experiment]")) part.addEventListener("toggle", () => showExperiment(part), { once: true });
  for (const button of document.querySelectorAll("button[data-csv]")) button.addEventListener("click", async () => save(new Blob([await unpacked(button.dataset.csv)], { type: "text/csv" }), `${button.dataset.csv}.csv`));
}

start();
