"use strict";
for (const figure of document.querySelectorAll("figure")) {
  const area = figure.querySelector(".area"), tip = area.querySelector(".tip"), cursor = area.querySelector(".cursor");
  const v = JSON.parse(figure.querySelector(".values").textContent);
  if (!v.x || !v.x.length) continue;
  let at = -1;
  const hide = () => { area.classList.remove("on"); at = -1; };
  const show = (i) => {
    at = Math.max(0, Math.min(v.x.length - 1, i));
    const rows = [document.createElement("b")];
    rows[0].textContent = v.head[at];
    v.names.forEach((name, k) => {
      if (!v.text[k][at]) return;
      const row = document.createElement("span"), label = document.createElement("i");
      label.className = "c" + v.color[k];
      label.textContent = name;
      row.append(label, v.text[k][at]);
      rows.push(row);
    });
    tip.replaceChildren(...rows);
    area.classList.add("on");
    const x = v.x[at] / 1000 * area.clientWidth, w = tip.offsetWidth;
    cursor.style.left = x + "px";
    tip.style.left = Math.max(0, x + 12 + w > area.clientWidth ? x - 12 - w : x + 12) + "px";
  };
  const nearest = (e) => {
    const box = area.getBoundingClientRect(), x = (e.clientX - box.left) / box.width * 1000;
    let best = 0;
    v.x.forEach((p, i) => { if (Math.abs(p - x) < Math.abs(v.x[best] - x)) best = i; });
    show(best);
  };
  area.addEventListener("pointermove", nearest);
  area.addEventListener("pointerdown", nearest);
  area.addEventListener("pointerleave", hide);
  area.addEventListener("blur", hide);
  area.addEventListener("keydown", (e) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[e.key];
    if (step) show(at < 0 ? 0 : at + step);
    else if (e.key === "Home") show(0);
    else if (e.key === "End") show(v.x.length - 1);
    else if (e.key === "Escape") hide();
    else return;
    e.preventDefault();
  });
}
