// A file can be dropped anywhere on a `.dropzone`, and its name is shown. On one that says with
// `data-paste` what pasted rows are called, a file or copied cells can be pasted. The input inside stays the
// real thing.
(() => {
  const zone = (event) => event.target.closest?.(".dropzone");
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

  const showName = (input) => {
    const box = input.closest(".dropzone");
    const name = box?.querySelector(".dropzone-name");
    if (!name) return;
    name.textContent = [...input.files].map((file) => file.name).join(", ") || name.dataset.empty;
    box.toggleAttribute("data-full", input.files.length > 0);
  };

  const give = (input, files) => {
    input.files = files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    // Beside the zone a drop would make the browser leave the page and show the file.
    event.preventDefault();
    const box = zone(event);
    event.dataTransfer.dropEffect = box ? "copy" : "none";
    for (const other of document.querySelectorAll(".dropzone[data-over]")) if (other !== box) delete other.dataset.over;
    if (box) box.dataset.over = "";
  });
  document.addEventListener("dragleave", (event) => {
    const box = zone(event);
    if (box && !box.contains(event.relatedTarget)) delete box.dataset.over;
  });
  document.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const box = zone(event);
    const input = box?.querySelector("input[type=file]");
    if (!input) return;
    delete box.dataset.over;
    give(input, event.dataTransfer.files);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches(".dropzone input[type=file]")) showName(event.target);
  });

  document.addEventListener("paste", (event) => {
    // What is pasted into a field of text is meant for that field.
    if (event.target.closest?.("textarea, input:not([type=file]), [contenteditable]")) return;
    const boxes = document.querySelectorAll(".dropzone[data-paste]");
    const box = zone(event) ?? (boxes.length === 1 ? boxes[0] : null);
    const input = box?.dataset.paste && box.querySelector("input[type=file]");
    if (!input) return;
    const { files } = event.clipboardData;
    const text = event.clipboardData.getData("text/plain");
    if (files.length > 0) {
      give(input, files);
    } else if (text.trim()) {
      const pasted = new DataTransfer();
      pasted.items.add(new File([text], box.dataset.paste, { type: "text/csv" }));
      give(input, pasted.files);
    } else {
      return;
    }
    event.preventDefault();
  });
})();
