"use strict";
(() => {
  const body = document.querySelector("tbody");
  const filter = document.getElementById("filter");
  const choice = document.getElementById("sort");
  const direction = document.getElementById("direction");
  const count = document.getElementById("count");
  const buttons = [...document.querySelectorAll("thead button[data-sort]")];
  const rows = [...body.rows].map((row) => ({ row, data: row.dataset, words: null }));
  const collator = new Intl.Collator(undefined, { numeric: true });
  const isText = (key) => key === "name";
  let key = "bleu0";
  let order = "ascending";

  /* What is unknown comes last, whichever the direction; what is equal keeps the order of the references. */
  function compare(one, other) {
    const a = one.data[key];
    const b = other.data[key];
    const sign = order === "ascending" ? 1 : -1;
    if (a === "" || b === "") return (a === "") - (b === "") || one.data.number - other.data.number;
    const difference = isText(key) ? collator.compare(a, b) : a - b;
    return sign * difference || one.data.number - other.data.number;
  }

  function sort(newKey, newOrder) {
    key = newKey;
    order = newOrder;
    rows.sort(compare);
    body.append(...rows.map(({ row }) => row));
    for (const button of buttons) {
      if (button.dataset.sort === key) button.dataset.order = order;
      else delete button.dataset.order;
    }
    for (const head of document.querySelectorAll("thead th")) {
      if (head.querySelector("[data-order]")) head.setAttribute("aria-sort", order);
      else head.removeAttribute("aria-sort");
    }
    choice.value = key;
    direction.textContent = order;
  }

  /* Every word of the filter has to be somewhere in the row's names and texts. */
  function show() {
    const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const one of rows) {
      one.words ??= [one.data.name, ...[...one.row.querySelectorAll(".text, .transcript, .note")].map((p) => p.textContent)]
        .join("\n").toLowerCase();
      const fits = wanted.every((word) => one.words.includes(word));
      one.row.hidden = !fits;
      shown += fits;
    }
    count.textContent = shown === rows.length ? `${shown} utterances` : `${shown} of ${rows.length} utterances`;
  }

  function remember() {
    const state = new URLSearchParams({ sort: `${key}-${order}` });
    if (filter.value) state.set("filter", filter.value);
    history.replaceState(null, "", `#${state}`);
  }

  function recall() {
    const state = new URLSearchParams(location.hash.slice(1));
    const [wanted, way] = (state.get("sort") ?? "").split("-");
    if ([...choice.options].some((option) => option.value === wanted)) {
      sort(wanted, way === "descending" ? "descending" : "ascending");
    }
    if (state.has("filter")) {
      filter.value = state.get("filter");
      show();
    }
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      const again = button.dataset.sort === key && order === "ascending";
      sort(button.dataset.sort, again ? "descending" : "ascending");
      remember();
    });
  }
  choice.addEventListener("change", () => { sort(choice.value, order); remember(); });
  direction.addEventListener("click", () => {
    sort(key, order === "ascending" ? "descending" : "ascending");
    remember();
  });
  let waiting = 0;
  filter.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { show(); remember(); }, 120);
  });
  filter.form.addEventListener("submit", (event) => { event.preventDefault(); show(); });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      filter.focus();
    }
  });
  /* A player costs a browser more than all else in a row, and to a script the content of noscript is mere text: so a
     player comes to life when its row comes near. */
  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const waiting = isIntersecting && target.querySelector(".player noscript");
      if (!waiting) continue;
      waiting.replaceWith(new DOMParser().parseFromString(waiting.textContent, "text/html").querySelector("audio"));
      near.unobserve(target);
    }
  }, { rootMargin: "600px 0px" });
  for (const { row } of rows) if (row.querySelector(".player")) near.observe(row);

  /* One voice at a time. */
  document.addEventListener("play", (event) => {
    for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
  }, true);

  const theme = document.getElementById("theme");
  const themes = [["automatic", "light dark"], ["light", "light"], ["dark", "dark"]];
  theme.addEventListener("click", () => {
    themes.push(themes.shift());
    theme.querySelector("span").textContent = themes[0][0];
    document.documentElement.style.colorScheme = themes[0][1];
  });

  theme.hidden = filter.form.hidden = false;
  addEventListener("hashchange", recall);
  recall();
})();
