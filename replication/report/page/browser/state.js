// What is asked for stands in the address, `?q=swin-t&verdict=differs#numbers`, so that back, reload and a link keep it.
// A number or a claim that is looked at is the part behind #: its id.
const ASKED = {
  q: "", paper: "", verdict: "", metric: "", model: "", evidence: "", sort: "", page: "1",
  status: "", claims: "1",
  models: "pvt_small swin_t", cost: "macs", over: "px", from: "224", to: "1024", scale: "log",
};
let state = { ...ASKED };

function readAddress() {
  state = { ...ASKED, ...Object.fromEntries([...new URLSearchParams(location.search)].filter(([key]) => key in ASKED)) };
}

function query(changes = {}) {
  const asked = Object.entries({ ...state, ...changes }).filter(([key, value]) => value !== ASKED[key]);
  return asked.length ? `?${new URLSearchParams(asked)}` : "";
}

// Change what is asked for. While somebody types, the address is replaced, else the old one can be gone back to.
function ask(changes, { typing = false, hash = location.hash } = {}) {
  if (Object.keys(changes).some((key) => !["page", "claims"].includes(key))) changes = { page: "1", claims: "1", ...changes };
  const address = location.pathname + query(changes) + hash;
  history[typing ? "replaceState" : "pushState"](null, "", address);
  render();
}
