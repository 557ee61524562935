// The trainings of an experiment, made when it is opened: validation by epoch as curves, test results as a table.
function showExperiment(part) {
  const experiment = part.dataset.experiment;
  const learned = LEARNED.filter((row) => row.experiment === experiment);
  const trained = TRAINED.filter((row) => row.experiment === experiment);
  if (learned.length) {
    const place = h("div", { role: "img", "aria-label": `On the validation images by epoch, a line an arm; the saved file has the values` });
    part.append(place, h("p", {}, h("button", { type: "button", onclick: () => save(new Blob([csv(learned, Object.keys(DATA.tables.curves))], { type: "text/csv" }), `${experiment}.csv`) }, "Save the curves as CSV")));
    plotEpochs(learned, place);
  }
  if (trained.length) part.append(trainedTable(trained));
}

// A line an arm: the mean over its seeds after every epoch. Arms beyond the eight hues are dashed.
function plotEpochs(rows, place) {
  const arms = [...new Set(rows.map((row) => row.arm))];
  const epochs = [...new Set(rows.map((row) => row.epoch))].sort((a, b) => a - b);
  const values = arms.map((arm) => new Map(rows.filter((row) => row.arm === arm).map((row) => [row.epoch, row.mean])));
  const style = getComputedStyle(document.documentElement);
  const axis = (label, size) => ({ stroke: style.getPropertyValue("--ink"), grid: { stroke: style.getPropertyValue("--line"), width: 1 }, label, size, font: "12px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif" });
  const read = (_, value) => (value === null || value === undefined ? "–" : shown(value));
  return new uPlot({
    width: Math.max(280, Math.min(720, place.clientWidth)), height: 260,
    scales: { x: { time: false } },
    axes: [axis("epochs", 40), axis("on the validation images [%]", 50)],
    series: [{ label: "epochs", value: read }, ...arms.map((arm, index) => ({ label: arm, stroke: HUES[index % HUES.length], width: 1.5, dash: index < HUES.length ? [] : [5, 3], value: read }))],
  }, [epochs, ...values.map((of) => epochs.map((epoch) => of.get(epoch) ?? null))], place);
}

// What an experiment measured, an arm and measure a row.
function trainedTable(rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Test results" }, h("table", {}, h("thead", {}, h("tr", {}, ["arm", "measure", "image side [px]", "mean", "95 % interval", "seeds"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.arm),
      [row.metric, row.image_size ?? "", withUnit(shown(row.value), row.unit), interval(row.ci_low, row.ci_high), row.n ?? ""].map((value) => h("td", {}, String(value))))))));
}
