"use strict";
// Charts of points with intervals, drawn from the data described in charts.py, drawn anew where the width changes.

const PAINTS = 9;
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 2", "1 3", "12 4", "3 1"];
// Marks in a square of side 2, one a policy family: told apart without colour.
const MARKS = [
  "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z", "M-.85,-.85H.85V.85H-.85Z", "M0,-1.1L1,.75H-1Z", "M0,-1.15L1,0L0,1.15L-1,0Z",
  "M0,1.1L1,-.75H-1Z", "M-.35,-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35Z", "M1.1,0L-.75,1V-1Z", "M-1.1,0L.75,1V-1Z",
  "M0,-1.1L.32,-.36L1.1,-.36L.5,.14L.7,.9L0,.46L-.7,.9L-.5,.14L-1.1,-.36L-.32,-.36Z", "M-.5,-.87H.5L1,0L.5,.87H-.5L-1,0Z",
  "M-.85,-.95H.85L-.85,.95H.85Z", "M-.95,-.85V.85L.95,-.85V.85Z",
];
const PERCENT = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });

function number(value, axis) {
  const text = value >= 1e5 ? new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(value)
    : new Intl.NumberFormat("en", { maximumSignificantDigits: 4 }).format(value);
  return axis && axis.money ? "$" + text : text;
}

// Places of ticks: powers of two, 1-2-5 in each decade and coarser, or even steps.
function ticks(low, high, axis, most) {
  let found = [];
  const inside = (value) => value >= low && value <= high;
  if (axis.log && axis.binary) {
    for (let e = Math.floor(Math.log2(low)); e <= Math.ceil(Math.log2(high)); e++) found.push(2 ** e);
  } else if (axis.log) {
    for (const steps of [[1, 2, 5], [1, 1.5, 2, 3, 5, 7], [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9]]) {
      found = [];
      for (let d = Math.floor(Math.log10(low)); d <= Math.ceil(Math.log10(high)); d++)
        for (const step of steps) found.push(Number(`${step}e${d}`));
      if (found.filter(inside).length >= 3) break;
    }
    if (found.filter(inside).length < 3) return ticks(low, high, { log: false }, Math.min(most, 5)); // a short stretch
  } else {
    const raw = (high - low) / Math.max(most, 2), scale = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((one) => one * scale).find((one) => one >= raw);
    for (let at = Math.ceil(low / step); at * step <= high * (1 + 1e-9); at++) found.push(Number((at * step).toPrecision(12)));
  }
  found = found.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
  while (found.length > most) found = found.filter((_, index) => index % 2 === 0);
  return found;
}

function scale(low, high, from, to, log) {
  const f = log ? Math.log : (value) => value;
  const width = f(high) - f(low) || 1;
  return (value) => from + ((f(value) - f(low)) / width) * (to - from);
}

class Chart {
  constructor(figure, data) {
    Object.assign(this, { figure, data, axis: 0, view: 0, width: 0 });
    this.off = new Set();
    this.away = new Set();
    this.plot = figure.querySelector(".plot");
    this.name = figure.dataset.chart;
    this.plot.textContent = "";
    this.controls();
    this.legend = make("div", { class: "legend", role: "group", "aria-label": "Series" });
    this.plot.after(this.legend);
    this.tip = make("div", { class: "tip", role: "status", hidden: true });
    new ResizeObserver(() => { if (Math.abs(this.plot.clientWidth - this.width) > 1) this.redraw(); }).observe(this.plot);
    this.redraw();
  }

  controls() {
    const box = this.figure.querySelector(".controls"), { axes, groups, views } = this.data;
    const again = (set) => (at) => { set(at); this.redraw(); };
    if (axes.length > 1) box.append(choice("Cost", axes.map((axis) => axis.key), 0, again((at) => { this.axis = at; })));
    if (views.names.length > 1) {
      const long = views.names.length > 5 || views.names.some((name) => name.length > 18);
      const pick = again((at) => { this.view = at; });
      box.append(long ? listed(views.label, views.names, pick) : choice(views.label, views.names, 0, pick));
    }
    if (groups.names.length > 1) box.append(this.models(groups));
    box.append(make("span", { class: "spring" }),
      make("div", { class: "switch save", role: "group", "aria-label": "Save" }, make("span", {}, "Save"),
        make("button", { type: "button", on: { click: () => save(this.name + ".svg", "image/svg+xml", this.svg()) } }, "SVG"),
        make("button", { type: "button", on: { click: () => save(this.name + ".csv", "text/csv", this.csv()) } }, "CSV")));
  }

  models(groups) {
    const box = make("div", { class: "switch", role: "group", "aria-label": groups.label }, make("span", {}, groups.label));
    groups.names.forEach((name, at) => {
      const button = make("button", { type: "button", "aria-pressed": "true", on: { click: () => {
        const hide = !this.away.has(at);
        if (hide) this.away.add(at); else this.away.delete(at);
        button.setAttribute("aria-pressed", String(!hide));
        this.redraw();
      } } }, make("i", { class: `swatch p${at % PAINTS}`, "aria-hidden": "true" }), shown(name));
      box.append(button);
    });
    return box;
  }

  // Series of this view and of models that are on; `all` includes those that the legend turned off.
  series(all) {
    return this.data.series.filter((one) => one.view === this.view && !this.away.has(one.group) && (all || !this.off.has(one.name)));
  }

  points(one) {
    const log = this.data.axes[this.axis].log;
    return one.points.filter((point) => point.x[this.axis] !== null && (!log || point.x[this.axis] > 0))
      .sort((a, b) => a.x[this.axis] - b.x[this.axis]);
  }

  redraw() {
    this.width = this.plot.clientWidth || 640;
    this.plot.textContent = "";
    this.tip.hidden = true;
    const every = this.series(false).flatMap((one) => this.points(one));
    this.label();
    if (!every.length) { this.plot.append(make("p", { class: "empty" }, "Nothing is known here.")); return; }
    const unit = (this.unit = Math.max(parseFloat(getComputedStyle(document.documentElement).fontSize) / 16, 0.9));
    const height = Math.round(Math.min(Math.max(this.width * 0.5, 250), 460 * unit));
    const box = { left: 48 * unit, right: this.width - 14, top: 16 * unit, bottom: height - 46 * unit };
    const svg = draw("svg", { viewBox: `0 0 ${this.width} ${height}`, width: this.width, height, role: "group" });
    const axis = this.data.axes[this.axis];
    svg.setAttribute("aria-label", `${this.data.y.label} against ${axis.label}; arrow keys walk the marks`);
    const scales = this.scales(every, box, axis);
    this.grid(svg, box, axis, scales);
    const marks = [];
    for (const one of this.series(false)) this.one(svg, one, scales, marks);
    this.walk(svg, marks);
    this.plot.append(svg, this.tip);
  }

  scales(points, box, axis) {
    const xs = points.map((point) => point.x[this.axis]);
    let low = Math.min(...xs), high = Math.max(...xs);
    if (axis.log) { const room = high > low ? Math.max((high / low) ** 0.05, 1.02) : 1.5; low /= room; high *= room; }
    else { const room = (high - low || 1) * 0.04; low -= low > 0 ? Math.min(room, low) : room; high += room; }
    const ys = points.flatMap((point) => [point.y, point.low, point.high].filter((value) => value !== null));
    let bottom = Math.min(...ys), top = Math.max(...ys);
    const room = Math.max((top - bottom) * 0.07, 0.004);
    bottom -= room; top += room;
    if (this.data.y.percent) { bottom = Math.max(bottom, bottom + room === 0 ? -room : 0); top = Math.min(top, 1 + room / 2); }
    return { low, high, bottom, top, x: scale(low, high, box.left, box.right, axis.log), y: scale(bottom, top, box.bottom, box.top, false) };
  }

  grid(svg, box, axis, { low, high, bottom, top, x, y }) {
    for (const value of ticks(Math.max(bottom, -1e9), top, { log: false }, 6)) {
      svg.append(draw("line", { class: "gridline", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
        draw("text", { x: box.left - 7, y: y(value) + 4 * this.unit, "text-anchor": "end", "font-size": 12 * this.unit },
          this.data.y.percent ? PERCENT.format(value) : number(value)));
    }
    svg.append(draw("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
    for (const value of ticks(low, high, axis, Math.max(3, Math.floor(this.width / (76 * this.unit))))) {
      svg.append(draw("line", { class: "axis", x1: x(value), x2: x(value), y1: box.bottom, y2: box.bottom + 5 }),
        draw("text", { x: x(value), y: box.bottom + 18 * this.unit, "text-anchor": "middle", "font-size": 12 * this.unit }, number(value, axis)));
    }
    const words = this.width < 420 && axis.label.length > 38 ? axis.label.replace(/ \(.*\)/, "") : axis.label;
    svg.append(draw("text", { class: "title", x: (box.left + box.right) / 2, y: box.bottom + 39 * this.unit, "text-anchor": "middle", "font-size": 12.5 * this.unit }, words),
      draw("text", { class: "title", x: 0, y: 8 * this.unit, "font-size": 12.5 * this.unit }, this.data.y.label));
  }

  one(svg, one, { x, y }, marks) {
    const points = this.points(one), at = this.axis, paint = `p${one.colour % PAINTS}`, group = draw("g", { class: paint });
    if (one.line && points.length > 1) {
      const path = points.map((point, index) => `${index ? "L" : "M"}${x(point.x[at]).toFixed(1)},${y(point.y).toFixed(1)}`).join("");
      group.append(draw("path", { class: "curve", d: path, "stroke-dasharray": DASHES[one.mark % DASHES.length] }));
    }
    for (const point of points) {
      const px = x(point.x[at]), py = y(point.y);
      if (point.low !== null && point.high !== null)
        group.append(draw("line", { class: "bar", x1: px, x2: px, y1: y(point.low), y2: y(point.high) }));
      const mark = draw("g", { class: "point", role: "img", tabindex: -1, "aria-label": this.said(one, point).join("; ") },
        draw("circle", { cx: px, cy: py, r: 11, fill: "transparent" }),
        draw("path", { class: point.hollow[at] ? "mark hollow" : "mark", d: MARKS[one.mark % MARKS.length], transform: `translate(${px.toFixed(1)},${py.toFixed(1)}) scale(${4.6 * this.unit})`, "vector-effect": "non-scaling-stroke" }));
      for (const event of ["pointerenter", "focus"]) mark.addEventListener(event, () => this.tell(one, point, px, py));
      for (const event of ["pointerleave", "blur"]) mark.addEventListener(event, () => { this.tip.hidden = true; });
      group.append(mark);
      marks.push([px, mark]);
    }
    svg.append(group);
  }

  said(one, point) {
    const axis = this.data.axes[this.axis];
    const value = (y) => (this.data.y.percent ? PERCENT.format(y) : number(y));
    const ends = point.low === null || point.high === null ? "" : ` [${value(point.low)}, ${value(point.high)}]`;
    const how = point.hollow[this.axis] ? ", modelled" : "";
    const model = this.data.groups.names.length > 1 ? `${this.data.groups.names[one.group]}, ` : "";
    return [model + one.name, point.tip, `${value(point.y)}${ends}`, `${number(point.x[this.axis], axis)} ${axis.key}${how}`];
  }

  tell(one, point, px, py) {
    const [name, ...lines] = this.said(one, point);
    this.tip.textContent = "";
    this.tip.append(make("b", {}, shown(name)));
    lines.forEach((line) => this.tip.append(make("div", {}, shown(line))));
    this.tip.hidden = false;
    const left = Math.min(Math.max(px + 14, 0), Math.max(this.width - this.tip.offsetWidth - 4, 0));
    this.tip.style.left = `${px > this.width / 2 ? Math.max(px - this.tip.offsetWidth - 14, 0) : left}px`;
    this.tip.style.top = `${Math.max(py - this.tip.offsetHeight - 10, 0)}px`;
  }

  // One stop of the Tab key; the arrows walk the marks from left to right.
  walk(svg, marks) {
    const order = marks.sort((a, b) => a[0] - b[0]).map(([, mark]) => mark);
    if (order.length) order[0].setAttribute("tabindex", 0);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key], at = order.indexOf(document.activeElement);
      if (event.key === "Escape") this.tip.hidden = true;
      if (!step || at < 0) return;
      event.preventDefault();
      const to = order[(at + step + order.length) % order.length];
      order[at].setAttribute("tabindex", -1);
      to.setAttribute("tabindex", 0);
      to.focus();
    });
  }

  label() {
    this.legend.textContent = "";
    const every = new Map(this.series(true).map((one) => [one.name, one]));
    if (every.size < 2) return;
    for (const one of every.values()) {
      const paint = this.data.groups.names.length > 1 ? 8 : one.colour % PAINTS; // colours are the models' then
      const sign = draw("svg", { viewBox: "0 0 34 14", class: `p${paint}`, "aria-hidden": "true" },
        ...(one.line ? [draw("path", { class: "curve", d: "M0,7H34", "stroke-dasharray": DASHES[one.mark % DASHES.length] })] : []),
        draw("path", { class: "mark", d: MARKS[one.mark % MARKS.length], transform: "translate(17,7) scale(4.6)", "vector-effect": "non-scaling-stroke" }));
      this.legend.append(make("button", { type: "button", "aria-pressed": String(!this.off.has(one.name)), on: { click: () => {
        if (this.off.has(one.name)) this.off.delete(one.name); else this.off.add(one.name);
        const at = [...this.legend.children].findIndex((button) => button === document.activeElement);
        this.redraw();
        if (at >= 0) this.legend.children[at].focus();
      } } }, sign, make("span", {}, shown(one.name))));
    }
  }

  // The figure as a file of its own: paint and type written into it.
  svg() {
    const from = this.plot.querySelector("svg");
    if (!from) return "";
    const copy = from.cloneNode(true), kept = ["fill", "stroke", "stroke-width", "opacity", "font-family", "stroke-dasharray"];
    const pairs = [[from, copy], ...[...from.querySelectorAll("*")].map((element, at) => [element, copy.querySelectorAll("*")[at]])];
    for (const [source, target] of pairs) {
      const style = getComputedStyle(source);
      for (const name of kept) target.setAttribute(name, style.getPropertyValue(name));
      target.removeAttribute("class");
    }
    copy.setAttribute("xmlns", SVG);
    return new XMLSerializer().serializeToString(copy);
  }

  csv() {
    const quote = (value) => `"${String(value ?? "").replace(/"/g, '""').replace(/^[=+\-@]/, "'$&")}"`;
    const rows = [["view", "model", "series", "setting", this.data.y.label, "low", "high", ...this.data.axes.map((axis) => axis.key)].map(quote)];
    for (const one of this.data.series)
      for (const point of one.points)
        rows.push([quote(this.data.views.names[one.view] ?? ""), quote(this.data.groups.names[one.group] ?? ""), quote(one.name), quote(point.tip), point.y, point.low ?? "", point.high ?? "", ...point.x.map((x) => x ?? "")]);
    return rows.map((row) => row.join(",")).join("\n") + "\n";
  }
}

const CHARTS = [...document.querySelectorAll("figure.chart")].map((figure) => new Chart(figure, DATA.charts[figure.dataset.chart]));
