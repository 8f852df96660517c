// Start the three figures, and the button that changes the language.

const MODELS = JSON.parse(document.getElementById("models").textContent);
const RATIOS = MODELS.ratios; // the quantiles 0.01 … 0.99 of an error divided by its prediction

find("#language").onclick = () => {
  language = language === "zh" ? "en" : "zh";
  speak();
  find("#language").textContent = language === "zh" ? "English" : "中文";
  find("#language").lang = language === "zh" ? "en" : "zh";
};

charactersPart.start();
wavesPart.start(MODELS.wave);
const tableReady = tablePart.start(document.getElementById("example.csv").textContent.trim());
speak();
find("#language").textContent = language === "zh" ? "English" : "中文";

globalThis.mapsto = {table: tablePart, characters: charactersPart, waves: wavesPart, ready: tableReady, speak};
