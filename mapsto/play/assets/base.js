// What all parts of the page share: elements, phrases in two languages, numbers as a person writes them.

const PHRASES = JSON.parse(document.getElementById("phrases").textContent);
const listeners = [];
let language = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";

const find = (selector, root = document) => root.querySelector(selector);
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

/** Return a phrase in the reader's language, with {name} replaced by the value of that name. */
function say(key, values = {}) {
  return PHRASES[key][language === "zh" ? 1 : 0].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Return a new element; attributes that begin with "on" are listeners, false and null are left out. */
function element(tag, attributes = {}, ...children) {
  const [, space, name] = /^(svg:)?(.*)$/.exec(tag);
  const made = space ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter(child => child != null));
  return made;
}

/** Write the page in the reader's language, and let each part write what it has drawn. */
function speak() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const place of document.querySelectorAll("[data-say]")) place.textContent = say(place.dataset.say);
  for (const place of document.querySelectorAll("[data-label]"))
    place.setAttribute("aria-label", say(place.dataset.label));
  document.title = say("title");
  for (const listener of listeners) listener();
}

/** Write a probability; one that is almost 0 or 1 is not written as 0 or 1. */
function percent(p) {
  if (p > 0 && p < 0.001) return "< 0.1\u00a0%";
  if (p > 0.999 && p < 1) return "> 99.9\u00a0%";
  return `${(100 * p).toFixed((p > 0 && p < 0.01) || (p > 0.99 && p < 1) ? 1 : 0)}\u00a0%`;
}
const points = v => `${v < 0 ? "−" : "+"}${(100 * Math.abs(v)).toFixed(1)}`;

/** Return the number of the likeliest class. */
const likeliest = probabilities => probabilities.indexOf(Math.max(...probabilities));

/** Return random numbers in [0, 1) that are the same for the same seed. */
function randomly(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Return a function that runs `task` one call at a time; of calls that wait, only the last one runs. */
function latest(task) {
  let running = null, waiting = false;
  return function call() {
    if (running) {
      waiting = true;
      return running;
    }
    const run = async () => {
      do {
        waiting = false;
        await task();
      } while (waiting);
    };
    running = run().finally(() => (running = null));
    return running;
  };
}
