// The curve explorer: what models cost over the size of the image, as counted or timed, with what the papers print.
const COSTS = {
  macs: ["multiply-adds of one image [G]", 1e9],
  params: ["parameters [M]", 1e6],
  peak_memory_infer_math: ["peak memory, inference, unfused attention [MiB]", 2 ** 20],
  peak_memory_infer_fused: ["peak memory, inference, fused attention [MiB]", 2 ** 20],
  peak_memory_train_math: ["peak memory, training step, unfused attention [MiB]", 2 ** 20],
  peak_memory_train_fused: ["peak memory, training step, fused attention [MiB]", 2 ** 20],
};
const CONDITIONS = [...new Set(TIMINGS.map((row) => `${row.condition}, ${row.machine}`))];
const PREFIX = { "": 1, k: 1e3, M: 1e6, G: 1e9 };
const HUES = [...Array(8).keys()].map((place) => getComputedStyle(document.documentElement).getPropertyValue(`--category-${place}`).trim());
let plot = null;

// Label, and scale or timing: `images/s@condition, machine` and `ms@...` are of a run by the clock.
function costOf(name) {
  const [kind, condition] = name.split("@");
  if (condition) return { label: `${kind === "ms" ? "latency of one image [ms]" : "images/s"}, ${condition}`, timed: kind, condition };
  const [label, unit] = COSTS[name] ?? COSTS.macs;
  return { label, unit, field: name in COSTS ? name : "macs" };
}

const side = (row) => (typeof row.image_size === "number" ? row.image_size : null);  // HEIGHTxWIDTH has no place on an axis

// The values of a model by image side: [{side, tokens, value, note}], smallest first.
function curveOf(model, cost) {
  const tokens = new Map(COUNTS.filter((row) => row.model === model).map((row) => [row.image_size, row.tokens]));
  const points = cost.timed
    ? TIMINGS.filter((row) => row.subject === model && `${row.condition}, ${row.machine}` === cost.condition).map((row) => ({
      side: side(row), value: cost.timed === "ms" ? 1000 / row.images_per_second : row.images_per_second,
      note: row.valid ? interval(...(cost.timed === "ms" ? [1000 / row.ci_high, 1000 / row.ci_low] : [row.ci_low, row.ci_high])) : `not valid: ${row.invalid}`,
    }))
    : COUNTS.filter((row) => row.model === model && row[cost.field] !== null).map((row) => ({ side: side(row), value: row[cost.field] / cost.unit, note: "" }));
  return points.filter((point) => point.side).map((point) => ({ ...point, tokens: tokens.get(point.side) ?? null })).sort((a, b) => a.side - b.side);
}

// What papers print of a model, at the size that they print or its native one; speeds are of other hardware.
function printedOf(model, cost) {
  if (cost.timed) return [];
  return NUMBERS.filter((row) => row.model === model && row.metric === cost.field && row.unit in PREFIX)
    .map((row) => ({ id: row.id, side: sizeOf(row), value: Number(row.published) * PREFIX[row.unit] / cost.unit }))
    .filter((point) => typeof point.side === "number");
}

// Where two curves cross, interpolated on logarithmic axes between the two sizes around it; null for no two sizes.
function crossingsOf(a, b) {
  const other = new Map(b.points.map((point) => [point.side, point.value]));
  const shared = a.points.filter((point) => other.has(point.side)).map((point) => ({ side: point.side, gap: Math.log(point.value / other.get(point.side)) }));
  if (shared.length < 2) return null;
  const found = [];
  for (let i = 1; i < shared.length; i += 1) {
    const [left, right] = [shared[i - 1], shared[i]];
    if (left.gap * right.gap < 0) {
      const part = left.gap / (left.gap - right.gap);
      const at = Math.exp(Math.log(left.side) + part * Math.log(right.side / left.side));
      const [below, above] = left.gap < 0 ? [a, b] : [b, a];
      found.push(`${below.label} is lower below ${Math.round(at)} px [${left.side}, ${right.side}], ${above.label} above`);
    }
  }
  return found;
}

function chosenModels() {
  return [...new Set(state.models.split(/[\s,]+/))].filter((model) => COUNTS.some((row) => row.model === model) || TIMINGS.some((row) => row.subject === model));
}

function curves() {
  const cost = costOf(state.cost);
  const [from, to] = [Number(state.from) || 0, Number(state.to) || Infinity];
  const within = (point) => point.side >= from && point.side <= to;
  const lines = chosenModels().map((model, place) => ({
    model, label: MODELS[model]?.label ?? model, hue: HUES[place % HUES.length],
    points: curveOf(model, cost).filter(within), printed: printedOf(model, cost).filter(within),
  }));
  return { cost, lines };
}

function renderCurves() {
  const { cost, lines } = curves();
  for (const name of ["cost", "over", "from", "to", "scale"]) $(`#curves-${name}`).value = state[name];
  $("#curves-models").replaceChildren(...lines.map((line) => h("li", {}, h("span", { class: "hue", style: `background:${line.hue}` }), line.label,
    h("button", { type: "button", "aria-label": `remove ${line.label}`, onclick: () => ask({ models: chosenModels().filter((model) => model !== line.model).join(" ") }) }, "×"))));
  const pairs = lines.flatMap((a, place) => lines.slice(place + 1).map((b) => crossingsOf(a, b))).filter((found) => found !== null);
  $("#curves-crossings").textContent = pairs.flat().length ? `${pairs.flat().join(". ")}.` : pairs.length ? "The curves do not cross between the sizes shown." : "";
  renderValues(cost, lines);
  drawPlot(cost, lines);
}

// The same as a table: ours by size, and behind a stroke what papers print.
function renderValues(cost, lines) {
  const sides = [...new Set(lines.flatMap((line) => [...line.points, ...line.printed].map((point) => point.side)))].sort((a, b) => a - b);
  const cell = (line, one) => {
    const ours = line.points.find((point) => point.side === one);
    const printed = line.printed.filter((point) => point.side === one);
    return h("td", {}, ours ? shown(ours.value) : "", ours?.note ? h("small", {}, ours.note) : "",
      printed.length ? h("small", {}, "printed ", [...new Map(printed.map((point) => [point.value, point])).values()].flatMap((point, place) => [place ? ", " : "", h("a", { href: `#${point.id}` }, String(point.value))])) : "");
  };
  $("#curves-values").replaceChildren(h("caption", {}, cost.label),
    h("thead", {}, h("tr", {}, ["image side [px]", ...lines.map((line) => line.label)].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, sides.map((one) => h("tr", {}, h("th", { scope: "row" }, String(one)), lines.map((line) => cell(line, one))))));
}

function curvesCsv() {
  const { cost, lines } = curves();
  const rows = lines.flatMap((line) => line.points.map((point) => ({ model: line.model, image_size: point.side, tokens: point.tokens, quantity: cost.label, value: point.value, note: point.note })));
  return csv(rows, ["model", "image_size", "tokens", "quantity", "value", "note"]);
}

function drawPlot(cost, lines) {
  plot?.destroy();
  plot = null;
  const drawn = lines.filter((line) => line.points.length);
  $("#curves-none").hidden = drawn.length > 0;
  if (!drawn.length) return;
  const x = (point) => (state.over === "tokens" ? point.tokens : point.side);
  const at = (line) => new Map(line.points.filter((point) => x(point) !== null).map((point) => [x(point), point.value]));
  const tokensAt = (line, printed) => line.points.find((point) => point.side === printed.side)?.tokens ?? null;
  const dots = (line) => new Map(line.printed.map((point) => [state.over === "tokens" ? tokensAt(line, point) : point.side, point.value]));
  const values = drawn.flatMap((line) => (dots(line).size ? [at(line), dots(line)] : [at(line)]));
  const xs = [...new Set(values.flatMap((of) => [...of.keys()]))].filter((one) => one !== null).sort((a, b) => a - b);
  const style = getComputedStyle(document.documentElement);
  const [ink, grid] = [style.getPropertyValue("--ink"), style.getPropertyValue("--line")];
  const axis = (label, size) => ({ stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid }, label, size, font: "12px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif", values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : shown(tick))) });
  const read = (_, value) => (value === null || value === undefined ? "–" : shown(value));
  const log = state.scale === "log";
  // On logarithmic axes a little room on both sides, and ticks that do not stand on each other.
  const scale = log ? { distr: 3, range: (_, least, most) => [least / 1.15, most * 1.15] } : {};
  const all = (_, ticks) => ticks;
  const room = innerWidth < 600 ? 1.5 : 1.22;
  const apart = (ticks) => ticks.reduceRight((kept, tick) => (kept.length && room * tick > kept[0] ? kept : [tick, ...kept]), []);
  const round = (_, __, least, most) => [...Array(16).keys()].flatMap((power) => [1, 2, 5].map((lead) => lead * 10 ** (power - 3))).filter((tick) => tick >= least && tick <= most);
  plot = new uPlot({
    width: Math.max(280, Math.min(960, $("#curves-plot").clientWidth)), height: 380, title: cost.label,
    scales: { x: { time: false, ...scale }, y: scale },
    axes: [
      { ...axis(state.over === "tokens" ? "tokens of the finest stage" : "image side [px]", 46), ...(log ? { splits: () => apart(xs), filter: all } : {}) },
      { ...axis("", 70), ...(log ? { splits: round, filter: all } : {}) },
    ],
    series: [
      { label: state.over === "tokens" ? "tokens" : "px", value: read },
      ...drawn.flatMap((line) => [
        { label: line.label, stroke: line.hue, width: 2, spanGaps: true, points: { show: true, size: 6, fill: line.hue }, value: read },
        ...(dots(line).size ? [{ label: `${line.label}, printed`, stroke: line.hue, paths: () => null, points: { show: true, size: 13, width: 2, fill: "transparent" }, value: read }] : []),
      ]),
    ],
  }, [xs, ...values.map((of) => xs.map((one) => of.get(one) ?? null))], $("#curves-plot"));
}

// The plot as a picture, with its title, the names of its lines, and the run.
function savePicture() {
  const { cost, lines } = curves();
  const source = plot.ctx.canvas;
  const ratio = source.width / plot.width;
  const style = getComputedStyle(document.documentElement);
  const canvas = h("canvas", { width: source.width, height: source.height + (46 + 20 * lines.length) * ratio });
  const pen = canvas.getContext("2d");
  pen.fillStyle = style.getPropertyValue("--paper");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.scale(ratio, ratio);
  pen.font = "14px system-ui, sans-serif";
  pen.fillStyle = style.getPropertyValue("--ink");
  pen.fillText(cost.label, 10, 20);
  lines.forEach((line, place) => {
    pen.fillStyle = line.hue;
    pen.fillText(`● ${line.label}`, 10, 42 + 20 * place);
  });
  pen.scale(1 / ratio, 1 / ratio);
  pen.drawImage(source, 0, (30 + 20 * lines.length) * ratio);
  pen.scale(ratio, ratio);
  pen.fillStyle = style.getPropertyValue("--soft");
  pen.font = "11px system-ui, sans-serif";
  pen.fillText(`${RUN.title}; run of ${RUN.date}, ${RUN.digest}; rings: as printed`, 10, canvas.height / ratio - 6);
  canvas.toBlob((blob) => save(blob, "curves.png"));
}
