// Its data stand beside this script.
for (const root of document.querySelectorAll('[data-key="@@key@@"]:not([data-started])')) {
  root.dataset.started = "yes";
  const data = JSON.parse(root.querySelector('script[data-part="data"]').textContent);
  @@render@@({ model: { get: () => data }, el: root });
}
