"use strict";
// The candidates: problems that can be filtered, each opening its answers by votes and every text behind them.

const STATES = ["all right", "some right", "none right", "no verdict"];
const FIRST = 5; // candidates of one answer that are listed at once

class Browser {
  constructor(box, pools) {
    Object.assign(this, { box, pools, pool: pools[0], open: null });
    this.wanted = { split: "", state: "", apart: false, refused: false, failed: false, text: "" };
    this.filters = make("div", { class: "filters", role: "search" });
    this.count = make("p", { class: "count", role: "status" });
    this.list = make("ul", { class: "list", "aria-label": "Problems" });
    this.detail = make("div", { class: "detail", "aria-live": "polite" });
    box.textContent = "";
    box.append(this.filters, this.count, make("div", { class: "panes" }, this.list, this.detail));
    this.list.addEventListener("keydown", (event) => this.walk(event));
    this.choose(pools[0]);
  }

  choose(pool) {
    this.pool = pool;
    Object.assign(this.wanted, { split: "", state: "" });
    this.fillFilters();
    this.fill();
    this.show(this.pool.problems.find((problem) => problem.apart) || this.pool.problems[0]);
  }

  fillFilters() {
    const again = (key) => (value) => { this.wanted[key] = value; this.fill(); };
    const select = (label, key, names) => {
      const options = ["any", ...names], field = make("select", { on: { change: () => again(key)(field.selectedIndex ? names[field.selectedIndex - 1] : "") } },
        ...options.map((name) => make("option", {}, name)));
      return names.length > 1 ? make("label", {}, label, field) : null;
    };
    const tick = (label, key) => {
      const field = make("input", { type: "checkbox", checked: this.wanted[key], on: { change: () => again(key)(field.checked) } });
      return this.pool.problems.some((problem) => problem[key]) ? make("label", {}, field, label) : null;
    };
    const search = make("input", { type: "search", placeholder: "id or words", "aria-label": "Search problems", value: this.wanted.text, on: { input: () => again("text")(search.value.toLowerCase()) } });
    const splits = [...new Set(this.pool.problems.map((problem) => problem.split))].filter(Boolean);
    const states = STATES.filter((state) => this.pool.problems.some((problem) => problem.state === state));
    this.filters.textContent = "";
    if (this.pools.length > 1) this.filters.append(this.runs());
    this.filters.append(...[select("Split", "split", splits), select("Candidates", "state", states),
      tick("answers differ", "apart"), tick("refusals", "refused"), tick("failures", "failed"), search].filter(Boolean));
  }

  runs() {
    const field = make("select", { on: { change: () => this.choose(this.pools[field.selectedIndex]) } },
      ...this.pools.map((pool) => make("option", { selected: pool === this.pool }, pool.run)));
    return make("label", {}, "Run", field);
  }

  meets(problem) {
    const { split, state, text } = this.wanted;
    if ((split && problem.split !== split) || (state && problem.state !== state)) return false;
    if (["apart", "refused", "failed"].some((key) => this.wanted[key] && !problem[key])) return false;
    return !text || `${problem.id} ${problem.question ?? ""}`.toLowerCase().includes(text);
  }

  fill() {
    const found = this.pool.problems.filter((problem) => this.meets(problem));
    this.count.textContent = `${found.length.toLocaleString("en")} of ${this.pool.problems.length.toLocaleString("en")} problems here`;
    this.list.textContent = "";
    for (const problem of found) {
      const button = make("button", { type: "button", on: { click: () => this.show(problem) } },
        make("b", {}, shown(problem.id)), this.tally(problem),
        make("span", { class: "snippet", dir: "auto" }, shown((problem.question ?? "").slice(0, 200))));
      button.problem = problem;
      this.list.append(make("li", {}, button));
    }
    this.mark();
  }

  tally(problem) {
    const draws = problem.candidates.filter((one) => one.retry === undefined).slice(0, 64);
    const right = draws.filter((one) => one.right === true).length;
    const bars = draws.map((one) => make("i", { class: one.right === true ? "right" : one.right === false || one.error ? "wrong" : "" }));
    return make("span", { class: "tally", role: "img", "aria-label": `${right} of ${draws.length} right` }, ...bars);
  }

  mark() {
    for (const button of this.list.querySelectorAll("button"))
      button.setAttribute("aria-current", String(button.problem === this.open));
  }

  walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], buttons = [...this.list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement) + (step || 0);
    if (!step || !buttons[at]) return;
    event.preventDefault();
    buttons[at].focus();
  }

  show(problem) {
    this.open = problem;
    this.mark();
    this.detail.textContent = "";
    const chips = [problem.split, problem.state, problem.apart && "answers differ", problem.refused && "refusals", problem.failed && "failures"];
    this.detail.append(make("h3", {}, shown(problem.id)),
      make("div", { class: "facts" }, ...chips.filter(Boolean).map((text) => make("span", { class: "chip" }, shown(text)))),
      make("p", { class: "question", dir: "auto" }, shown(problem.question ?? "The question is not recorded.")));
    if (problem.gold !== null) this.detail.append(make("p", {}, "Reference: ", make("b", { class: "piece" }, shown(problem.gold))));
    for (const [arms, messages] of problem.prompts) this.detail.append(this.prompt(arms, messages, problem.prompts.length > 1));
    for (const [key, group] of this.votes(problem)) this.group(key, group, problem);
    const more = problem.more ? `${problem.more} candidates more: ` : "In the terminal: ";
    this.detail.append(make("p", { class: "note" }, more, make("code", {}, shown(`testtime show ${this.pool.place} ${problem.id}`))));
  }

  prompt(arms, messages, named) {
    const others = arms.length > 1 ? ` and ${arms.length - 1} more` : "";
    return make("details", {}, make("summary", {}, "Prompt", named ? shown(` of ${arms[0]}${others}`) : ""),
      ...messages.map(([role, content]) => make("div", { class: "turn" }, make("b", {}, shown(role)), make("div", { class: "words", dir: "auto" }, shown(content)))));
  }

  // [[answer key, candidates]], the most voted first; those without a vote, and retries, last.
  votes(problem) {
    const groups = new Map();
    for (const one of problem.candidates) {
      const key = one.retry !== undefined ? "\u0000retry" : one.error || one.key === undefined ? "\u0000none" : one.key;
      groups.set(key, [...(groups.get(key) ?? []), one]);
    }
    return [...groups].sort(([a, some], [b, others]) => (a[0] === "\u0000") - (b[0] === "\u0000") || others.length - some.length);
  }

  group(key, group, problem) {
    const kind = (one) => (one.right === true ? "right" : one.right === false || one.error ? "wrong" : "");
    const said = key === "\u0000none" ? "No vote" : key === "\u0000retry" ? "Tried again, not counted" : group[0].answer ?? key;
    const draws = problem.candidates.filter((one) => one.retry === undefined).length;
    const bar = make("i", { class: kind(group[0]) });
    bar.style.width = `${(100 * group.length) / Math.max(draws, group.length)}%`;
    this.detail.append(make("h4", {}, make("span", { class: "piece" }, shown(String(said).slice(0, 300))),
      make("span", { class: `chip ${kind(group[0])}` }, this.verdict(group[0])),
      make("span", { class: "note" }, `${group.length} of ${draws} candidates`)), make("div", { class: "votes" }, bar));
    const several = new Set(problem.candidates.map((one) => one.arm)).size > 1;
    const rows = group.map((one) => this.candidate(one, kind(one), several)), hidden = rows.slice(FIRST);
    this.detail.append(...rows.slice(0, FIRST));
    if (hidden.length) {
      const more = make("button", { type: "button", on: { click: () => { more.replaceWith(...hidden); hidden[0].firstElementChild.focus(); } } }, `${hidden.length} more of this answer`);
      this.detail.append(more);
    }
  }

  verdict(one) {
    return one.error ? "failed" : one.right === true ? "right" : one.right === false ? "wrong" : "no verdict";
  }

  candidate(one, kind, several) {
    const facts = [several && one.arm, this.verdict(one), one.refusal && `refusal: ${one.refusal}`,
      one.tokens !== undefined && `${one.tokens.toLocaleString("en")} tokens`, one.ended && one.ended !== "stop" && `ended: ${one.ended}`,
      one.dollars !== undefined && `$${Number(one.dollars.toPrecision(3))}`, one.calls && `${one.calls} tool call${one.calls === 1 ? "" : "s"}`, one.persona !== undefined && `persona ${one.persona}`,
      one.retry !== undefined && `retry of ${one.retry}`].filter(Boolean);
    const fold = make("details", { class: `candidate ${kind}` }, make("summary", {}, make("b", {}, `#${one.number}`),
      ...facts.map((text) => make("span", { class: "chip" }, shown(text)))));
    fold.addEventListener("toggle", () => { if (fold.open && fold.children.length === 1) this.texts(fold, one); });
    return fold;
  }

  texts(fold, one) {
    if (one.error) fold.append(make("p", { class: "why" }, "Failed: ", shown(one.error)));
    let text = null;
    const plain = () => (text ??= fold.appendChild(make("div", { class: "words", dir: "auto" })));
    for (const [kind, thinking, words] of one.pieces) {
      if (["tools", "call", "result"].includes(kind)) { fold.append(this.turn(kind, words)); text = null; }
      else if (thinking) { this.thought(fold, kind, words); text = null; }
      else if (kind === "member") { fold.append(make("details", { class: "thinking" }, make("summary", {}, "A text of the search"), make("div", { class: "words", dir: "auto" }, shown(words)))); text = null; }
      else plain().append(make("span", { class: `piece ${kind}` }, shown(words)));
    }
    if (!one.pieces.length && !one.error) fold.append(make("p", { class: "why" }, "No text is recorded."));
    const why = [one.stage, one.rule, one.sure !== undefined && `confidence ${one.sure}`].filter(Boolean).join(", ");
    if (why || one.why) fold.append(make("p", { class: "why", dir: "auto" }, "Verdict: ", shown([why, one.why].filter(Boolean).join(": "))));
  }

  // Thinking is folded; neighbours share one fold, whose summary says what in it the thinker did not write.
  thought(fold, kind, words) {
    let last = fold.lastElementChild;
    if (!last.dataset.thought) {
      last = fold.appendChild(make("details", { class: "thinking", "data-thought": "1" }, make("summary", {}, "Thinking"), make("div", { class: "words", dir: "auto" })));
    }
    last.lastElementChild.append(make("span", { class: `piece ${kind === "thinking" ? "" : kind}` }, shown(words)));
    const count = (name) => last.querySelectorAll(`.${name}`).length, oracle = count("oracle"), forced = count("forced");
    last.firstElementChild.textContent = ["Thinking", oracle && `${oracle} by the oracle`, forced && `${forced} inserted`].filter(Boolean).join(", ");
  }

  turn(kind, words) {
    const said = { tools: "may use", call: "calls a tool", result: "the tool answers" }[kind];
    return make("div", { class: `turn ${kind}` }, make("b", {}, said), make("div", { class: "words", dir: "auto" }, shown(words)));
  }
}

const BOX = document.querySelector(".browser");
if (BOX && DATA.pools.length) new Browser(BOX, DATA.pools);
