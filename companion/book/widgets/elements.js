// Elements of a widget: named parts, buttons, sliders that say their value.

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(aria|data|role)/.test(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

// Parts by their names, and what names one.
function partsOf() {
  const parts = {};
  const part = (name, made) => {
    made.setAttribute("data-part", name);
    parts[name] = made;
    return made;
  };
  return { parts, part };
}

const button = (textContent, act, properties = {}) => {
  const made = element("button", { type: "button", textContent, ...properties });
  made.addEventListener("click", act);
  return made;
};

// A named range; `say` puts its value into words. `inward` is called at every move.
function range(name, { min = 0, max = 1, step = 0.05, value, say = (v) => String(v) }, inward) {
  const input = element("input", { type: "range", min, max, step, value, "data-part": name });
  const output = element("output", { textContent: say(value) });
  const told = () => {
    output.textContent = say(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => { told(); inward(Number(input.value)); });
  input.addEventListener("ccl-told", told);
  told();
  return { input, output };
}

// Moves a range by script: its words follow, nothing else is called.
function moveTo(input, value) {
  input.value = value;
  input.dispatchEvent(new Event("ccl-told"));
}

// A range under its title; a label would be named by the output inside it first.
function knob(part, name, title, options, inward) {
  const { input, output } = range(name, options, inward);
  part(name, input).setAttribute("aria-label", title);
  return element("div", { className: "ccl-knob" }, element("span", {}, title), output, input);
}

function select(part, name, title, options, act) {
  const made = part(name, element("select", {}, ...options.map(([value, textContent]) =>
    element("option", { value, textContent }))));
  made.addEventListener("change", () => act(made.value));
  return element("label", {}, `${title} `, made);
}
