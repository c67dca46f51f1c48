// Lines with intervals over an axis, as SVG with one unit a pixel. About a hundred lines in place of
// a plotting library of one to three megabytes: a page holds its own script, also from file://.

const ROOM = { left: 34, right: 10, top: 8, bottom: 36 };

// A mark of a strategy, 16 units wide, around a point.
function markAt(x, y, size, { colour, path, stroked }) {
  const mark = drawn("path", {
    d: path, class: stroked ? "ccl-line" : "ccl-mark",
    transform: `translate(${x - size / 2} ${y - size / 2}) scale(${size / 16})`,
  });
  mark.style.setProperty("--ccl-colour", colour);
  return mark;
}

// Round numbers between two, at most so many.
function roundNumbers(low, high, most) {
  const size = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = size * [1, 2, 5, 10].find((n) => (high - low) / (n * size) <= most);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => (first + i) * step);
}

// From values to pixels.
function scale([low, high], [start, end], log = false) {
  const on = log ? Math.log : (v) => v;
  const width = on(high) - on(low) || 1;
  return (value) => start + (end - start) * (on(value) - on(low)) / width;
}

// One panel: `x` and `y` have `limits`; x also `log`, `name` and the `ticks` [value, words]. Each of
// the lines has `points` {x, y, low, high} and how it is drawn; `now` is the place that is read.
function panel({ title, width, height, x, y, lines, now, zero }) {
  const right = width - ROOM.right, bottom = height - ROOM.bottom;
  const across = scale(x.limits, [ROOM.left + 8, right - 8], x.log);
  const up = scale(y.limits, [bottom, ROOM.top]);
  const svg = drawn("svg", {
    viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": title,
  });
  const words = (at, anchor, text) => drawn("text", { x: at[0], y: at[1], "text-anchor": anchor }, text);
  for (const value of roundNumbers(...y.limits, 5)) {
    svg.append(
      drawn("path", { d: `M${ROOM.left} ${up(value)}H${right}`, class: "ccl-grid" }),
      words([ROOM.left - 5, up(value) + 4], "end", y.say(value)));
  }
  let free = -Infinity; // words that would touch are left out
  for (const [value, text] of x.ticks) {
    const at = across(value), half = 3.5 * text.length;
    svg.append(drawn("path", { d: `M${at} ${bottom}v4`, class: "ccl-grid" }));
    if (at - half <= free) continue;
    svg.append(words([at, bottom + 16], "middle", text));
    free = at + half + 4;
  }
  svg.append(words([(ROOM.left + right) / 2, height - 4], "middle", x.name));
  if (zero > y.limits[0] && zero < y.limits[1]) {
    svg.append(drawn("path", { d: `M${ROOM.left} ${up(zero)}H${right}`, class: "ccl-zero" }));
  }
  if (now !== undefined) {
    svg.append(drawn("path", { d: `M${across(now)} ${ROOM.top}V${bottom}`, class: "ccl-guide" }));
  }
  for (const line of lines) svg.append(lineOf(line, across, up));
  return { svg, across, up };
}

function lineOf({ points, mark, dashed, strong }, across, up) {
  const group = drawn("g", { class: `${dashed ? "ccl-dashed" : ""} ${strong ? "ccl-strong" : ""}` });
  group.style.setProperty("--ccl-colour", mark.colour);
  const sure = points.filter(({ low, high }) => low !== null && high !== null);
  const there = sure.map(({ x, high }) => `${across(x)} ${up(high)}`);
  const back = sure.map(({ x, low }) => `${across(x)} ${up(low)}`).reverse();
  if (sure.length > 1) {
    group.append(drawn("path", { d: `M${[...there, ...back].join("L")}z`, class: "ccl-band" }));
  }
  group.append(drawn("path", {
    d: `M${points.map(({ x, y }) => `${across(x)} ${up(y)}`).join("L")}`, class: "ccl-line",
  }));
  for (const { x, y } of points) group.append(markAt(across(x), up(y), 9, mark));
  return group;
}
