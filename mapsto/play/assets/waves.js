// MAML in plain JavaScript: a network 1-40-40-1, and the gradient steps by which it adapts to a few points.

const LR = 0.01;

/** Return x·Wᵀ + b for rows x; W is given by rows. */
const linear = (x, [W, b]) => x.map(row => W.map((w, i) => b[i] + w.reduce((sum, v, j) => sum + v * row[j], 0)));
const relu = rows => rows.map(row => row.map(v => Math.max(v, 0)));

/** Return the network's answers to some numbers. */
function answers(layers, xs) {
  const hidden = relu(linear(relu(linear(xs.map(x => [x]), layers[0])), layers[1]));
  return linear(hidden, layers[2]).map(row => row[0]);
}

/** Return the network after one step down the gradient of the mean squared error of the points. */
function adapted(layers, points) {
  const inputs = [points.map(({x}) => [x])], before = [];
  for (const layer of layers) {
    before.push(linear(inputs[inputs.length - 1], layer));
    inputs.push(relu(before[before.length - 1]));
  }
  let slope = before[2].map(([y], i) => [(2 * (y - points[i].y)) / points.length]);
  const stepped = [];
  for (let l = 2; l >= 0; l--) {
    const [W, b] = layers[l], seen = inputs[l];
    const at = (i, j) => slope.reduce((sum, row, n) => sum + row[i] * seen[n][j], 0);
    stepped[l] = [
      W.map((w, i) => w.map((v, j) => v - LR * at(i, j))),
      b.map((v, i) => v - LR * slope.reduce((sum, row) => sum + row[i], 0)),
    ];
    slope = l && slope.map((row, n) =>
      seen[n].map((v, j) => (v > 0 ? row.reduce((sum, s, i) => sum + s * W[i][j], 0) : 0)));
  }
  return stepped;
}

/** Return the networks after 0, 1, …, `steps` steps. */
function film(layers, points, steps) {
  const frames = [layers];
  while (frames.length <= steps) frames.push(points.length ? adapted(frames[frames.length - 1], points) : layers);
  return frames;
}

/** Return a network whose weights were never trained, as PyTorch draws them. */
function untrained(seed) {
  const random = randomly(seed);
  const drawn = (rows, columns) => {
    const reach = 1 / Math.sqrt(columns), one = () => reach * (2 * random() - 1);
    return [Array.from({length: rows}, () => Array.from({length: columns}, one)), Array.from({length: rows}, one)];
  };
  return [drawn(40, 1), drawn(40, 40), drawn(1, 40)];
}
