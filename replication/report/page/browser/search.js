// Search by whole words, with the field's synonyms. The words of a row and those of a question are made alike, so that
// "DeiT small", "DeiT-Small" and "deit_s" are one word, "deit-s", and "Swin-T" is no part of "Swin-Tiny-22k" or "swin/table1a".
const SIZES = { small: "s", tiny: "t", ti: "t", base: "b", large: "l", huge: "h" };
const SYNONYMS = {
  flops: "macs", mac: "macs", gflops: "macs", gmacs: "macs", mflops: "macs", "multiply-adds": "macs",
  parameters: "params", parameter: "params", param: "params", "#params": "params", mparams: "params",
  "top-1": "top1", acc: "accuracy", "images/s": "throughput", fps: "throughput", imgs: "throughput", time: "latency",
  px: "", pixels: "", of: "", the: "", does: "", hold: "", "is": "",
};

function plain(word) {
  const trimmed = word.replace(/_/g, "-").replace(/^[†‡*"'“”]+|[†‡*"'“”?!.]+$/g, "");
  if (trimmed in SYNONYMS) return SYNONYMS[trimmed];
  return trimmed.split("-").map((part) => SIZES[part] ?? part).join("-").replace(/^(\d+)px$/, "$1");
}

// The words of a text in small letters; a size behind a name is joined to it. Rows share most of their texts.
const KNOWN = new Map();
function words(text) {
  if (KNOWN.has(text)) return KNOWN.get(text);
  const found = [];
  for (const word of text.toLowerCase().split(/[\s,;:()[\]|↑@]+/)) {
    const before = found.at(-1);
    if (word in SIZES && before && /[a-z]$/.test(before)) found[found.length - 1] = `${before}-${SIZES[word]}`;
    else if (plain(word)) found.push(plain(word));
  }
  KNOWN.set(text, found);
  return found;
}

// All that a row can be found by: its words, and the parts of those with a stroke, a plus or a hyphen.
function indexed(texts) {
  const all = new Set(texts.flatMap(words));
  for (const word of [...all]) {
    const strokes = word.split(/[/+]/);
    for (const part of [...strokes, ...strokes.flatMap((one) => one.split("-"))]) all.add(part);
  }
  return ` ${[...all].join(" ")} `;
}

function wordsOfNumber(row) {
  row.words ??= indexed([
    row.paper, row.row, row.column, MODELS[row.model]?.label ?? "", row.model, row.metric, METRICS[row.metric].kind,
    row.dataset, row.kind, String(row.image_size ?? ""), row.published, row.published + row.unit, row.unit, tableName(row.table),
  ]);
  return row.words;
}

function wordsOfClaim(row) {
  row.words ??= indexed([row.paper, row.statement, row.claim, row.where, row.status, row.published_numbers]);
  return row.words;
}

// The rows that have every word of a question. One that no row has is still being typed: what begins with it is found.
function matching(rows, wordsOf, question) {
  return words(question).reduce((left, word) => {
    const whole = left.filter((row) => wordsOf(row).includes(` ${word} `));
    return whole.length ? whole : left.filter((row) => wordsOf(row).includes(` ${word}`));
  }, rows);
}
