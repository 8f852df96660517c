// Support set ↦ model ↦ reasons, in one dimension: kernel ridge regression, whose teaching points are moved and left out.
//
//   f(x) = k(x)ᵀ α,  (W K + λ I) α = W y,  k(a, b) = exp(−(a − b)² / 2 s²)
"use strict";
const teaching = {
  points: [[1, 2.2], [2.2, 3.9], [3.4, 4.2], [5, 2.4], [6.4, 1.3], [8.2, 3.2], [9.2, 4.6]],
  left: [], // the numbers of the points that are left out
  query: 4.2,
  width: 1.3, ridge: 0.1,

  kernel: (a, b) => Math.exp(-((a - b) ** 2) / (2 * teaching.width ** 2)),

  // The mapping from a support set to a model.
  adapt(points, weights) {
    const rows = points.map(([a], i) => [
      ...points.map(([b], j) => weights[i] * teaching.kernel(a, b) + (i === j ? teaching.ridge : 0)), weights[i] * points[i][1]]);
    const alpha = solve(rows);
    return x => points.reduce((sum, [a], i) => sum + alpha[i] * teaching.kernel(a, x), 0);
  },

  weights: () => teaching.points.map((_, i) => (teaching.left.includes(i) ? 0 : 1)),

  // The mapping from a model to reasons: the slope at the query, and what each teaching point does to the prediction there.
  explain(x = teaching.query) {
    const weights = teaching.weights(), model = teaching.adapt(teaching.points, weights), step = 1e-4;
    const without = i => teaching.adapt(teaching.points, weights.map((w, j) => (i === j ? 0 : w)));
    return {
      prediction: model(x),
      slope: (model(x + step) - model(x - step)) / (2 * step),
      influence: teaching.points.map((_, i) => (weights[i] ? model(x) - without(i)(x) : 0)),
    };
  },
};

// Gaussian elimination with pivots, of the rows [A | b].
function solve(rows) {
  const n = rows.length;
  for (let c = 0; c < n; c++) {
    const best = rows.slice(c).reduce((top, row, i) => (Math.abs(row[c]) > Math.abs(rows[top][c]) ? c + i : top), c);
    [rows[c], rows[best]] = [rows[best], rows[c]];
    for (let r = c + 1; r < n; r++) {
      const factor = rows[r][c] / rows[c][c];
      for (let k = c; k <= n; k++) rows[r][k] -= factor * rows[c][k];
    }
  }
  const x = Array(n).fill(0);
  for (let r = n - 1; r >= 0; r--) x[r] = (rows[r][n] - x.reduce((s, v, k) => s + (k > r ? rows[r][k] * v : 0), 0)) / rows[r][r];
  return x;
}

function drawTeaching(place) {
  const W = Math.min(640, Math.max(300, place.clientWidth - 36)), H = 280;
  const px = x => 20 + (W - 40) * x / 10, py = y => H - 20 - (H - 40) * y / 6;
  const number = x => x.toFixed(2).replace("-", "−");
  place.innerHTML = `<p>Drag the points, or focus one and use the arrow keys. A double click or <kbd>Delete</kbd> leaves a point out, or takes it back.</p>
    <svg viewBox="0 0 ${W} ${H}" role="group" aria-label="A curve through teaching points"></svg>
    <label class="wide">query <input type="range" min="0" max="10" step="0.1" value="${teaching.query}"></label>
    <p class="said" role="status"></p>`;
  const svg = place.querySelector("svg"), slider = place.querySelector("input");
  svg.innerHTML = `<path class="curve"/><line class="at"/><line class="tangent"/><circle class="query" r="5"/>` +
    teaching.points.map((_, i) => `<circle class="point" data-i="${i}" tabindex="0" role="button"/>`).join("");
  const within = (value, low, high) => Math.min(high, Math.max(low, value));
  const show = () => {
    const model = teaching.adapt(teaching.points, teaching.weights()), x = teaching.query, found = teaching.explain();
    const curve = Array.from({ length: 161 }, (_, i) => [i / 16, model(i / 16)]);
    svg.querySelector(".curve").setAttribute("d", "M" + curve.map(([a, b]) => `${px(a)},${py(b)}`).join("L"));
    const line = (name, x1, y1, x2, y2) => Object.entries({ x1: px(x1), y1: py(y1), x2: px(x2), y2: py(y2) })
      .forEach(([key, value]) => svg.querySelector(name).setAttribute(key, value));
    line(".at", x, 0, x, 6);
    line(".tangent", x - 1.4, found.prediction - 1.4 * found.slope, x + 1.4, found.prediction + 1.4 * found.slope);
    const dot = svg.querySelector(".query");
    dot.setAttribute("cx", px(x));
    dot.setAttribute("cy", py(found.prediction));
    svg.querySelectorAll(".point").forEach((circle, i) => {
      const effect = found.influence[i], left = teaching.left.includes(i);
      circle.setAttribute("cx", px(teaching.points[i][0]));
      circle.setAttribute("cy", py(teaching.points[i][1]));
      circle.setAttribute("r", 8 + 8 * Math.min(1, Math.abs(effect)));
      circle.setAttribute("class", `point ${left ? "left" : effect > 0 ? "up" : "down"}`);
      circle.setAttribute("aria-label", `teaching point ${i + 1}, ${left ? "left out" : `${effect < 0 ? "lowers" : "raises"} the prediction by ${number(Math.abs(effect))}`}`);
    });
    const most = found.influence.map(Math.abs).reduce((top, v, i, all) => (v > all[top] ? i : top), 0);
    place.querySelector(".said").textContent = `Prediction ${number(found.prediction)}. Query view: the slope here is ${number(found.slope)}. ` +
      `Support view: without point ${most + 1} the prediction would be ${number(found.prediction - found.influence[most])}.`;
  };
  const move = (i, x, y) => {
    teaching.points[i] = [within(x, 0, 10), within(y, 0, 6)];
    show();
  };
  const toggle = i => {
    teaching.left = teaching.left.includes(i) ? teaching.left.filter(j => j !== i) : [...teaching.left, i];
    show();
  };
  slider.addEventListener("input", () => {
    teaching.query = Number(slider.value);
    show();
  });
  svg.querySelectorAll(".point").forEach((circle, i) => {
    circle.addEventListener("pointerdown", event => circle.setPointerCapture(event.pointerId));
    circle.addEventListener("pointermove", event => {
      if (!circle.hasPointerCapture(event.pointerId)) return;
      const box = svg.getBoundingClientRect(), scale = W / box.width;
      move(i, ((event.clientX - box.left) * scale - 20) / (W - 40) * 10, (H - 20 - (event.clientY - box.top) * scale) / (H - 40) * 6);
    });
    circle.addEventListener("dblclick", () => toggle(i));
    circle.addEventListener("keydown", event => {
      const [x, y] = teaching.points[i], step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
      if (step) move(i, x + step[0], y + step[1]);
      else if (event.key === "Delete" || event.key === "Backspace") toggle(i);
      else return;
      event.preventDefault();
    });
  });
  show();
}

document.querySelectorAll("[data-figure=teaching]").forEach(drawTeaching);
