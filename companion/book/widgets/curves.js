// Curves of one measure: what is shown is chosen, seeds are averaged, any strategy can be subtracted.

function renderCurves({ model, el }) {
  const { facets, lines, x, measure, reference } = model.get("data");
  const by = Object.fromEntries(facets.map((facet, place) => [facet.role, { ...facet, place }]));
  const on = facets.map(({ values }) => new Set([...values.keys()].filter((i) => values[i].on)));
  const stops = [...new Set(lines.flatMap(({ points }) => points.map(([at]) => at)))]
    .sort((a, b) => a - b);
  const words = new Map(x.ticks.map(([at, , long]) => [at, long]));
  const now = { gain: false, stop: 0, near: null };
  const { parts, part } = partsOf();

  const place = (at) => words.get(at) ?? `${x.each} ${at}`;
  const chosen = (role) => (by[role] ? [...on[by[role].place]].sort((a, b) => a - b) : [0]);
  const valueOf = (role, i) => by[role]?.values[i] ?? { label: "" };

  // -- what is drawn -----------------------------------------------------------------------------

  // Lines of one strategy, protocol and panel, one for each seed: x to [y, low, high].
  function seedsOf(colour, dash, panel_) {
    const wanted = { colour, dash, panel: panel_ };
    return chosen("mean").map((seed) => lines.find(({ at }) => Object.entries(by).every(
      ([role, facet]) => at[facet.place] === (role === "mean" ? seed : wanted[role]))))
      .map((line) => new Map(line?.points.map(([at, ...rest]) => [at, rest])));
  }

  // A point is the mean over the seeds that have it. Its interval is the standard error over seeds
  // where there are three, else that of the test patients; a difference has none of the latter.
  function averaged(colour, dash, panel_) {
    const mine = seedsOf(colour, dash, panel_);
    const other = now.gain ? seedsOf(reference, dash, panel_) : null;
    return stops.flatMap((at) => {
      const found = mine.map((seed, k) => [seed.get(at), other?.[k].get(at)])
        .filter(([own, theirs]) => own && (!other || theirs));
      if (!found.length) return [];
      const values = found.map(([own, theirs]) => own[0] - (theirs?.[0] ?? 0));
      const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
      const y = mean(values), n = values.length;
      if (n >= (other ? 2 : 3)) {
        const error = Math.sqrt(mean(values.map((v) => (v - y) ** 2)) / (n - 1));
        return [{ x: at, y, low: y - error, high: y + error, n }];
      }
      const ends = [1, 2].map((end) => found.map(([own]) => own[end]));
      const known = !other && ends.flat().every((end) => end !== null);
      return [{ x: at, y, low: known ? mean(ends[0]) : null, high: known ? mean(ends[1]) : null, n }];
    });
  }

  function linesOf(panel_) {
    return chosen("dash").flatMap((dash) => chosen("colour")
      .filter((colour) => !now.gain || colour !== reference)
      .map((colour) => {
        const mark = valueOf("colour", colour);
        const kind = chosen("dash").length > 1 ? valueOf("dash", dash).label : "";
        return {
          key: `${colour} ${dash}`, label: [mark.label, kind].filter(Boolean).join(", "), mark,
          dashed: dash > 0, strong: now.near === `${colour} ${dash}`,
          points: averaged(colour, dash, panel_),
        };
      })).filter(({ points }) => points.length);
  }

  function limits(shown) {
    const ends = shown.flatMap((each) => each.lines.flatMap(({ points }) =>
      points.flatMap(({ y, low, high }) => [y, low ?? y, high ?? y])));
    const low = Math.min(...ends, now.gain ? -0.01 : Infinity);
    const high = Math.max(...ends, now.gain ? 0.01 : -Infinity);
    const room = 0.04 * (high - low) || 0.01;
    return ends.length ? [low - room, high + room] : [0, 1];
  }

  const say = (value) => {
    const text = Math.abs(value).toFixed(3).replace(/^0/, "");
    return (value < -5e-4 ? "−" : now.gain && value > 5e-4 ? "+" : "") + text;
  };

  function tick(value) {
    return (value < -1e-9 ? "−" : now.gain && value > 1e-9 ? "+" : "")
      + String(Math.round(1000 * Math.abs(value)) / 1000).replace(/^0\./, ".");
  }

  function draw() {
    const shown = chosen("panel").map((i) => ({
      title: valueOf("panel", i).label, lines: linesOf(i),
    }));
    const y = { limits: limits(shown), say: tick };
    const range_ = [stops[0], stops.at(-1)];
    const ticks = x.ticks.length ? x.ticks : roundNumbers(...range_, 6).map((v) => [v, String(v)]);
    parts.panels.classList.toggle("ccl-single", shown.length === 1);
    const figures = shown.map(() => element("figure"));
    parts.panels.replaceChildren(...figures);
    shown.forEach((each, k) => {
      const width = Math.max(180, figures[k].clientWidth);
      const made = panel({
        ...each, width, height: Math.min(320, Math.round(0.5 * width + 70)), y,
        title: `${each.title}: ${says()}`, x: { ...x, limits: range_, ticks },
        now: stops[now.stop], zero: now.gain ? 0 : 0.5,
      });
      figures[k].append(element("figcaption", { textContent: each.title }), made.svg);
      made.svg.addEventListener("pointermove", (event) => follow(event, each, made));
      made.svg.addEventListener("pointerdown", (event) => follow(event, each, made));
    });
    parts.says.textContent = `${says()}. ${interval(shown)}`;
    parts.read.replaceChildren(...table(shown, [stops[now.stop]]));
    if (parts.all.open) parts.whole.replaceChildren(...table(shown, stops));
  }

  function says() {
    return now.gain ? `${measure} minus that of ${valueOf("colour", reference).label}` : measure;
  }

  function interval(shown) {
    const counts = shown.flatMap((each) => each.lines.flatMap(({ points }) =>
      points.map(({ n, low }) => ({ n, low }))));
    if (!counts.length) return "Nothing is chosen that was computed.";
    const n = Math.max(...counts.map((each) => each.n));
    const mean = n > 1 ? `Means over ${n} seeds` : "One seed";
    if (counts.every(({ low }) => low === null)) return `${mean}, without intervals.`;
    return n >= (now.gain ? 2 : 3) ? `${mean}; bands: standard error over seeds.`
      : `${mean}; bands: 95 % bootstrap of test patients.`;
  }

  // Numbers at some places: a row for each line, a column for each panel.
  function table(shown, places) {
    const rows = new Map(shown.flatMap((each) => each.lines.map((line) => [line.key, line])));
    const head = element("thead", {}, element("tr", {}, element("th", { scope: "col", textContent: by.colour.title }),
      ...shown.map(({ title }) => element("th", { scope: "col", textContent: title || measure }))));
    return [head, ...places.map((at) => element("tbody", {},
      ...(places.length > 1 ? [element("tr", {}, element("th", {
        scope: "rowgroup", colSpan: shown.length + 1, textContent: place(at),
      }))] : []),
      ...[...rows].map(([key, { label, mark }]) => element("tr", {},
        element("th", { scope: "row" }, icon(mark), label),
        ...shown.map((each) => element("td", {
          textContent: cell(each.lines.find((line) => line.key === key), at),
        }))))))];
  }

  function cell(line, at) {
    const point = line?.points.find((each) => each.x === at);
    if (!point) return "–";
    return say(point.y) + (point.low === null ? "" : ` (${say(point.low)} to ${say(point.high)})`);
  }

  // -- what is chosen ----------------------------------------------------------------------------

  function follow(event, { lines: drawnLines }, { svg, across, up }) {
    const box = svg.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    const off = (at) => Math.abs(across(at) - px);
    const stop = stops.reduce((best, at, i) => (off(at) < off(stops[best]) ? i : best), 0);
    const heights = drawnLines.map(({ key, points }) => ({
      key, off: Math.abs(up(points.find((p) => p.x === stops[stop])?.y ?? NaN) - py),
    })).filter((each) => each.off < 24).sort((a, b) => a.off - b.off);
    const near = heights[0]?.key ?? null;
    if (stop === now.stop && near === now.near) return;
    Object.assign(now, { stop, near });
    moveTo(parts.stop, stop);
    draw();
  }

  const icon = (mark) => drawn("svg", { viewBox: "0 0 16 16", class: "ccl-icon", "aria-hidden": "true" },
    markAt(8, 8, 16, mark));

  function toggles({ title, role, values }, k) {
    const boxes = values.map((value, i) => {
      const box = element("input", { type: "checkbox", checked: value.on, value: String(i) });
      box.addEventListener("change", () => {
        on[k][box.checked ? "add" : "delete"](i);
        draw();
      });
      return element("label", {}, box, ...(role === "colour" ? [icon(value)] : []), value.label);
    });
    return element("fieldset", { hidden: values.length < 2, "data-facet": role },
      element("legend", { textContent: title }), element("div", { className: "ccl-row" }, ...boxes));
  }

  function gainOrNot() {
    const row = part("gain", element("div", { className: "ccl-row" }));
    const press = (gain) => {
      now.gain = gain;
      for (const each of row.children) each.setAttribute("aria-pressed", String(each.value === String(gain)));
      draw();
    };
    row.append(
      button(measure, () => press(false), { value: "false", "aria-pressed": "true" }),
      button(`Gain over ${valueOf("colour", reference).label}`, () => press(true),
        { value: "true", "aria-pressed": "false" }));
    return row;
  }

  function build() {
    const { input, output } = range("stop", {
      min: 0, max: stops.length - 1, step: 1, value: 0, say: (i) => place(stops[i]),
    }, (i) => { Object.assign(now, { stop: i, near: null }); draw(); });
    part("stop", input).setAttribute("aria-label", `Read the curves at ${x.name}`);
    const scrolled = (made, label) => element("div",
      { className: "ccl-scrolled", tabIndex: 0, role: "group", "aria-label": label }, made);
    part("all", element("details", {}, element("summary", { textContent: "All numbers" }),
      scrolled(part("whole", element("table")), "All numbers of these curves")));
    parts.all.addEventListener("toggle", draw);
    el.append(
      gainOrNot(),
      part("panels", element("div", { className: "ccl-curves-panels" })),
      part("says", element("p", { className: "ccl-note", "aria-live": "polite" })),
      element("div", { className: "ccl-controls" }, ...facets.map(toggles)),
      element("div", { className: "ccl-knob" }, element("span", {}, "Numbers at"), output, input),
      scrolled(part("read", element("table")), "Numbers at this place"), parts.all);
    draw();
    let width = el.clientWidth;
    new ResizeObserver(() => {
      if (el.clientWidth !== width) { width = el.clientWidth; draw(); }
    }).observe(el);
  }

  build();
}
