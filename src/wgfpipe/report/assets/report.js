/* What the pages do beyond reading: the table sorts and filters, curves answer, the animation plays when asked.
   Each page is whole without it. Nothing is loaded from elsewhere; plotly.min.js lies beside this file. */
"use strict";

const each = (root, selector, act) => root.querySelectorAll(selector).forEach(act);

function make(tag, attributes = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...inside);
  return made;
}

/* The table of cells. Sorting keeps the questions apart; without groups all cells are one list. */
function cellsTable(table, form) {
  const body = table.createTBody();
  const bodies = [...table.tBodies].filter((group) => group !== body);
  const rows = bodies.flatMap((group) => [...group.querySelectorAll("tr[data-search]")].map((row) => ({ row, group })));
  const order = new Map(rows.map(({ row }, k) => [row, k]));
  let sorted = { column: -1, sign: 1 };

  const valueOf = (row) => {
    const cell = row.cells[sorted.column];
    if (!("value" in cell.dataset)) return cell.textContent.trim().toLowerCase();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value === "inf" ? Infinity : cell.dataset.value);
  };
  const compare = (one, other) => {
    if (sorted.column < 0) return order.get(one.row) - order.get(other.row);
    const [a, b] = [valueOf(one.row), valueOf(other.row)];
    if (a === null || b === null) return (a === null) - (b === null);
    return sorted.sign * (typeof a === "string" ? a.localeCompare(b) : a < b ? -1 : a > b ? 1 : 0) || order.get(one.row) - order.get(other.row);
  };
  const show = () => {
    const words = form.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const grouped = form.grouped.checked;
    let shown = 0;
    for (const { row, group } of rows.sort(compare)) {
      const fits = words.every((word) => row.dataset.search.includes(word)) && ["", row.dataset.verdict].includes(form.verdict.value);
      row.hidden = !fits;
      shown += fits;
      (grouped ? group : body).append(row);
    }
    for (const group of bodies) group.hidden = !grouped || !group.querySelector("tr[data-search]:not([hidden])");
    body.hidden = grouped;
    form.querySelector("output").textContent = `${shown} of ${rows.length} cells`;
  };
  each(table, "thead th", (head) => {
    const button = make("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      sorted = { column: head.cellIndex, sign: head.getAttribute("aria-sort") === "ascending" ? -1 : 1 };
      each(table, "thead th", (other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", sorted.sign > 0 ? "ascending" : "descending");
      show();
    });
  });
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
}

/* Curves. The figure stays for paper, for pages without scripts, and for who prefers it. */
const plotly = (() => {
  let loading = null;
  return () => (loading ??= new Promise((done, failed) => {
    const script = make("script", { src: `${document.body.dataset.root}assets/plotly.min.js` });
    script.addEventListener("load", () => done(window.Plotly));
    script.addEventListener("error", failed);
    document.head.append(script);
  }));
})();

function curves(figure, chart) {
  const paper = figure.querySelector(".paper");
  const place = make("div", { class: "chart", role: "group", "aria-label": paper.querySelector("img").alt });
  const picture = make("button", { type: "button", "aria-pressed": "false" }, "Show the figure");
  const log = make("input", { type: "checkbox" });
  const reset = make("button", { type: "button" }, "Whole range");
  const panel = make("select");
  chart.panels.forEach((one, k) => panel.append(make("option", { value: k }, one.name)));
  const labels = [...new Set(chart.panels.flatMap((one) => Object.keys(one.lines)))];
  const boxes = new Map(labels.map((label) => [label, make("input", { type: "checkbox", checked: "" })]));
  const methods = make("fieldset", {}, make("legend", {}, "methods"));
  const key = (look) => {
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [name, value] of [["width", 26], ["height", 8], ["aria-hidden", "true"]]) drawn.setAttribute(name, value);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const dash = { dash: "7 3", dashdot: "7 3 2 3", dot: "2 3" }[look.dash] ?? "none";
    const ends = { x1: 0, x2: 26, y1: 4, y2: 4, style: `stroke: ${look.color ?? "var(--ink)"}; stroke-width: ${look.width}; stroke-dasharray: ${dash}` };
    for (const [name, value] of Object.entries(ends)) line.setAttribute(name, value);
    drawn.append(line);
    return drawn;
  };
  for (const [label, box] of boxes) methods.append(make("label", {}, box, key(chart.looks[label]), label));
  const tools = make("div", { class: "tools" });
  if (chart.panels.length > 1) tools.append(make("label", {}, "quantity ", panel));
  tools.append(make("label", {}, log, " logarithmic"), reset, picture, methods);
  tools.append(make("span", {}, "Drag to zoom; hover to read values."));
  log.checked = chart.panels[0].log;
  paper.before(tools, place);
  paper.querySelector("img").loading = "eager";  // a hidden one would not be there yet when the page goes to paper
  paper.hidden = true;

  const draw = async (Plotly) => {
    const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const shown = chart.panels[Number(panel.value || 0)];
    const format = shown.share ? ".3~%" : ".4~g";
    const many = chart.time.length > 40;
    const logarithmic = log.checked;
    const positive = (values) => (logarithmic ? values.map((value) => (value > 0 && value >= shown.least ? value : null)) : values);
    const bands = Object.entries(shown.bands).flatMap(([label, [low, high]]) => {
      const color = chart.looks[label].color ?? ink("--ink");
      const bounds = positive(high).map((top, k) => (top === null ? null : logarithmic ? Math.max(low[k], shown.least || top / 1e3) : low[k]));
      const common = { x: chart.time, mode: "lines", line: { width: 0, color }, visible: boxes.get(label).checked, hoverinfo: "skip" };
      return [{ ...common, y: bounds }, { ...common, y: positive(high), fill: "tonexty", fillcolor: color + "33" }];
    });
    const traces = Object.entries(shown.lines).map(([label, y]) => {
      const look = chart.looks[label];
      const color = look.color ?? ink("--ink");
      return {
        name: label, x: chart.time, y: positive(y), visible: boxes.get(label).checked, mode: many || look.color === null ? "lines" : "lines+markers",
        line: { color, dash: look.dash, width: look.width }, marker: { symbol: look.symbol, color, size: 6 },
        hovertemplate: `%{fullData.name}: %{y:${format}}<extra></extra>`,
      };
    });
    for (const [label, y] of Object.entries(shown.points)) traces.push({
      name: `${label}, theory`, x: chart.time, y: positive(y), visible: boxes.get(label).checked, mode: "markers",
      marker: { symbol: "x-thin", size: 8, line: { width: 1.5, color: chart.looks[label].color ?? ink("--ink") } },
      hovertemplate: `%{fullData.name}: %{y:${format}}<extra></extra>`,
    });
    if (shown.floor) traces.push({
      name: "grid floor", x: chart.time, y: positive(shown.floor), mode: "lines", line: { color: ink("--edge"), width: 1, dash: "dot" },
      hovertemplate: `grid floor: %{y:${format}}<extra></extra>`,
    });
    const shapes = shown.tolerance === null ? [] : [{
      type: "line", xref: "paper", x0: 0, x1: 1, y0: shown.tolerance, y1: shown.tolerance, line: { color: ink("--bad"), width: 1.5, dash: "dash" },
      label: { text: "tolerance", textposition: "end", font: { color: ink("--bad"), size: 11 } },
    }];
    const predicted = { type: "line", layer: "below", line: { color: ink("--edge"), width: 1.2, dash: "dash" } };
    const told = { label: { text: "theory", textposition: "end", textangle: 0, font: { color: ink("--edge"), size: 11 } } };
    for (const [k, time] of (shown.marks?.times ?? []).entries()) shapes.push({ ...predicted, ...(k ? {} : told), yref: "paper", x0: time, x1: time, y0: 0, y1: 1 });
    for (const level of shown.marks?.levels ?? []) if (!logarithmic || level > 0) shapes.push({ ...predicted, xref: "paper", x0: 0, x1: 1, y0: level, y1: level });
    const drawn = traces.flatMap((trace) => trace.y).filter((value) => value > 0);
    const decades = drawn.length ? Math.log10(Math.max(...drawn) / Math.min(...drawn)) : 0;
    const ticks = logarithmic ? { dtick: decades < 3 ? "D2" : Math.ceil(decades / 8) } : {};
    const axis = { gridcolor: ink("--line"), linecolor: ink("--edge"), zeroline: false, ticks: "outside", automargin: true };
    await Plotly.react(place, [...bands, ...traces], {
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: ink("--ink") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, shapes, margin: { l: 64, r: 16, t: 12, b: 48 },
      hovermode: "x unified", hoverlabel: { bgcolor: ink("--panel"), font: { color: ink("--ink") } },
      xaxis: { ...axis, title: { text: "flow time t" }, hoverformat: ".4~g" },
      yaxis: { ...axis, ...ticks, title: { text: shown.unit }, type: logarithmic ? "log" : "linear", tickformat: shown.share ? "~%" : "", exponentformat: "power" },
      uirevision: `${panel.value} ${logarithmic}`,
    }, { displayModeBar: false, responsive: true });
    figure.dataset.drawn = "yes";
  };
  const redraw = () => plotly().then(draw);
  panel.addEventListener("change", () => { log.checked = chart.panels[Number(panel.value)].log; redraw(); });
  for (const box of [log, ...boxes.values()]) box.addEventListener("change", redraw);
  reset.addEventListener("click", () => plotly().then((Plotly) => Plotly.relayout(place, { "xaxis.autorange": true, "yaxis.autorange": true })));
  picture.addEventListener("click", () => {
    const hide = place.hidden;
    place.hidden = !hide;
    paper.hidden = hide;
    picture.setAttribute("aria-pressed", String(!hide));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  new IntersectionObserver((seen, observer) => {
    if (!seen.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    redraw();
  }, { rootMargin: "300px" }).observe(figure);
}

/* The animation: stills of one sheet. It never starts by itself, and does not play where motion is to be reduced. */
function film(figure) {
  const { frames, columns, rows } = Object.fromEntries(["frames", "columns", "rows"].map((name) => [name, Number(figure.dataset[name])]));
  const times = JSON.parse(figure.dataset.times);
  const still = figure.querySelector(".still");
  const [play, stop] = ["play", "stop"].map((name) => figure.querySelector(`[data-do=${name}]`));
  const slider = figure.querySelector("input");
  const reduced = matchMedia("(prefers-reduced-motion: reduce)");
  let timer = null;
  const show = (k) => {
    slider.value = k;
    slider.setAttribute("aria-valuetext", times[k]);
    figure.querySelector("output").textContent = times[k];
    const at = (index, count) => (count > 1 ? (100 * index) / (count - 1) : 0);
    still.style.backgroundPosition = `${at(k % columns, columns)}% ${at(Math.floor(k / columns), rows)}%`;
  };
  const halt = () => {
    clearInterval(timer);
    timer = null;
    stop.disabled = true;
    play.disabled = reduced.matches;
  };
  play.addEventListener("click", () => {
    if (timer !== null || reduced.matches) return;
    if (Number(slider.value) === frames - 1) show(0);
    play.disabled = true;
    stop.disabled = false;
    timer = setInterval(() => (Number(slider.value) === frames - 1 ? halt() : show(Number(slider.value) + 1)), Math.max(125, 2500 / frames));
  });
  stop.addEventListener("click", halt);
  slider.addEventListener("input", () => { halt(); show(Number(slider.value)); });
  reduced.addEventListener("change", halt);
  for (const part of [still, figure.querySelector(".controls")]) part.hidden = false;
  figure.querySelector(".sheet").hidden = true;
  halt();
  show(0);
}

each(document, "table.cells", (table) => cellsTable(table, document.querySelector("form.filter")));
const charts = document.getElementById("charts");
if (charts) {
  const all = JSON.parse(charts.textContent);
  each(document, "figure.curves", (figure) => curves(figure, all[figure.dataset.chart]));
}
each(document, "figure.film", film);
