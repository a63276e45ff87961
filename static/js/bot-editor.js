// Steps of a bot are moved by dragging their line, or with Alt and the arrow keys. Without this the buttons do it.
(() => {
  let dragged = null;
  const card = (event) => event.target.closest?.(".step");
  const cards = () => [...document.querySelectorAll(".bot-steps > .step")];
  const form = () => document.querySelector(".bot-move");
  const unmark = () => { for (const other of document.querySelectorAll(".step[data-over]")) delete other.dataset.over; };

  // Only where there is something to move with, a line can be dragged.
  document.addEventListener("pointerdown", (event) => {
    const line = event.target.closest?.(".step > summary");
    if (line && form()) line.draggable = true;
  });
  document.addEventListener("dragstart", (event) => {
    if (!event.target.closest?.(".step > summary") || !form()) return;
    dragged = card(event);
    dragged.dataset.dragged = "";
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", dragged.dataset.step);
  });
  document.addEventListener("dragover", (event) => {
    const over = dragged && card(event);
    if (!over) return;
    event.preventDefault();
    unmark();
    if (over !== dragged) over.dataset.over = "";
  });
  document.addEventListener("drop", (event) => {
    const over = dragged && card(event);
    if (!over) return;
    event.preventDefault();
    if (over === dragged) return;
    const order = cards();
    const [from, to] = [order.indexOf(dragged), order.indexOf(over)];
    const move = form();
    move.elements.step.value = dragged.dataset.step;
    // The step lands above the one it is dropped on; those below move up when it leaves.
    move.elements.to.value = from < to ? to - 1 : to;
    move.requestSubmit();
  });
  document.addEventListener("dragend", () => {
    unmark();
    if (dragged) delete dragged.dataset.dragged;
    dragged = null;
  });

  document.addEventListener("keydown", (event) => {
    if (!event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    // There these keys have a meaning of their own.
    if (event.target.closest("select, textarea")) return;
    const button = card(event)?.querySelector(`[name=press][value=${event.key === "ArrowUp" ? "up" : "down"}]`);
    if (!button || button.disabled) return;
    event.preventDefault();
    button.click();
  });

  // A trial shows what was typed last: it waits until that is saved.
  let saves = 0;
  let goesTo = null;
  const go = () => {
    if (goesTo) location.assign(goesTo);
    goesTo = null;
  };
  const isStep = (element) => element?.closest?.(".step-form");
  document.addEventListener("change", (event) => { if (isStep(event.target)) saves += 1; });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!isStep(event.detail.elt)) return;
    saves = Math.max(0, saves - 1);
    // What was refused is to be read here.
    if (!event.detail.successful) goesTo = null;
    if (saves === 0) go();
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href*='/try?']");
    if (!link || saves === 0 || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    goesTo = link.href;
    setTimeout(go, 4_000);
  });

  // A link into a folded step unfolds it.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    const inside = link && document.getElementById(link.getAttribute("href").slice(1))?.closest(".step");
    if (inside) inside.open = true;
  });

  // The newest message of a trial is seen.
  const toNewest = () => {
    const chat = document.getElementById("chat");
    if (chat) chat.scrollTop = chat.scrollHeight;
  };
  document.addEventListener("htmx:afterSwap", toNewest);
  document.addEventListener("DOMContentLoaded", toNewest);
})();
