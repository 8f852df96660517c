// A game of three columns: v(S) from four effects, the six orders in which the columns can be revealed, and their mean.
"use strict";
const orders = {
  names: ["age", "pressure", "smoking"],
  base: 50, // percent, when every column is hidden
  most: 10, // percentage points of each of the four effects, so that v(S) stays between 10 and 90 %
  effects: { age: 10, pressure: 8, smoking: 2, both: 10 }, // percentage points; `both`: pressure and smoking together

  value(shown, effects = orders.effects) {
    const alone = orders.names.reduce((sum, name, j) => sum + (shown[j] ? effects[name] : 0), orders.base);
    return alone + (shown[1] && shown[2] ? effects.both : 0);
  },

  // The changes of each column in each order, [6][3], and their mean: the Shapley values.
  chains(effects = orders.effects) {
    const all = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    return all.map(order => {
      const shown = [false, false, false], changes = [0, 0, 0];
      for (const j of order) {
        const before = orders.value(shown, effects);
        shown[j] = true;
        changes[j] = orders.value(shown, effects) - before;
      }
      return { order, changes };
    });
  },

  shapley(effects = orders.effects) {
    const chains = orders.chains(effects);
    return orders.names.map((_, j) => chains.reduce((sum, chain) => sum + chain.changes[j], 0) / chains.length);
  },
};

function drawOrders(place) {
  const signed = x => (x < 0 ? "−" : "+") + Math.abs(Math.round(10 * x) / 10);
  const cell = x => `<td class="${x > 0 ? "up" : x < 0 ? "down" : ""}">${signed(x)}</td>`;
  const titles = { age: "age 71", pressure: "pressure 170", smoking: "smoker", both: "pressure and smoking together" };
  const sliders = Object.keys(orders.effects).map(name => `<label>${titles[name]}
    <input type="range" min="-${orders.most}" max="${orders.most}" step="1" name="${name}" value="${orders.effects[name]}"><output></output></label>`);
  const boxes = orders.names.map((name, j) => `<label><input type="checkbox" value="${j}" checked> ${titles[name]}</label>`);
  place.innerHTML = `<p><b>What the model does.</b> Each slider adds percentage points where its columns are visible.</p>
    <div class="controls">${sliders.join("")}</div>
    <p><b>What is visible.</b> Hide columns and read the prediction.</p>
    <div class="controls boxes">${boxes.join("")}<span class="said" role="status"></span></div>
    <table><thead><tr><th scope="col">revealed in this order</th>${orders.names.map(n => `<th scope="col">${n}</th>`).join("")}</tr></thead>
    <tbody></tbody><tfoot></tfoot></table>`;
  const find = selector => place.querySelector(selector);
  const show = () => {
    for (const input of place.querySelectorAll("[type=range]")) {
      orders.effects[input.name] = Number(input.value);
      input.nextElementSibling.textContent = signed(Number(input.value));
    }
    const shown = [...place.querySelectorAll("[type=checkbox]")].map(box => box.checked);
    find(".said").textContent = `v(S) = ${orders.value(shown)} %`;
    find("tbody").innerHTML = orders.chains().map(({ order, changes }) =>
      `<tr><th scope="row">${order.map(j => orders.names[j]).join(" → ")}</th>${changes.map(cell).join("")}</tr>`).join("");
    const values = orders.shapley(), sum = values.reduce((a, b) => a + b, orders.base);
    find("tfoot").innerHTML = `<tr><th scope="row">mean: the Shapley values</th>${values.map(cell).join("")}</tr>
      <tr><td colspan="4">${orders.base} % ${values.map(signed).join(" ")} = ${Math.round(10 * sum) / 10} %, the prediction with all columns</td></tr>`;
  };
  place.addEventListener("input", show);
  show();
}

document.querySelectorAll("[data-figure=orders]").forEach(drawOrders);
