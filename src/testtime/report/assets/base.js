"use strict";
// Small helpers. Nothing here or in the other scripts parses HTML: text from the data becomes text nodes.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
// What shows nothing or turns the letters around it, written out as its code; U+FFFD stands for broken halves.
const HIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/;

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Text as nodes: signs that cannot be seen are spelled out in a box.
function shown(text) {
  const part = document.createDocumentFragment();
  let run = "";
  for (const sign of String(text)) {
    if (!HIDDEN.test(sign)) { run += sign; continue; }
    part.append(run);
    run = "";
    const code = sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    part.append(make("span", { class: "sign" }, "U+" + code));
  }
  part.append(run);
  return part;
}

// One choice of several, as a row of buttons that arrow keys walk.
function choice(label, names, at, choose) {
  const box = make("div", { class: "switch", role: "radiogroup", "aria-label": label }, make("span", {}, label));
  const buttons = names.map((name, index) => make("button", {
    type: "button", role: "radio", "aria-checked": String(index === at), tabindex: index === at ? 0 : -1,
    on: { click: () => pick(index) },
  }, shown(name)));
  function pick(index) {
    buttons.forEach((button, other) => {
      button.setAttribute("aria-checked", String(other === index));
      button.tabIndex = other === index ? 0 : -1;
    });
    choose(index);
  }
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const from = buttons.indexOf(document.activeElement);
    if (!step || from < 0) return;
    event.preventDefault();
    const to = (from + step + buttons.length) % buttons.length;
    buttons[to].focus();
    pick(to);
  });
  box.append(...buttons);
  return box;
}

// The same as a list, for many or long names.
function listed(label, names, choose) {
  const select = make("select", { on: { change: () => choose(select.selectedIndex) } },
    ...names.map((name) => make("option", {}, name)));
  return make("label", {}, label, select);
}

function save(name, type, text) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function theme() {
  const names = { "": "Theme: system", light: "Theme: light", dark: "Theme: dark" };
  const button = document.getElementById("theme");
  const order = Object.keys(names);
  let at = 0;
  button.hidden = false;
  button.addEventListener("click", () => {
    at = (at + 1) % order.length;
    if (order[at]) document.documentElement.dataset.theme = order[at];
    else delete document.documentElement.dataset.theme;
    button.textContent = names[order[at]];
  });
}

// The section that is read now is marked in the list of sections.
function follow() {
  const links = new Map([...document.querySelectorAll("header nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.classList.remove("here");
      const link = links.get(entry.target.id);
      if (link) link.classList.add("here");
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  document.querySelectorAll("main > section").forEach((section) => seen.observe(section));
}

theme();
follow();
