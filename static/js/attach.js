// A text may bring a file along: it is uploaded, and its address stands in a line of its own; in a field of one
// line, alone. Every `[data-attach]` gets a button; files can be dropped on it and pasted into it as well.
(() => {
  const largest = 16 * 1024 * 1024;

  const say = (box, words, bad = false) => {
    const out = box.querySelector(".attach-said");
    out.textContent = words;
    out.toggleAttribute("data-bad", bad);
  };

  const put = (field, url) => {
    const before = field.value.replace(/\s+$/, "");
    if (field.matches("input")) field.value = url;
    else field.value = before ? `${before}\n${url}\n` : `${url}\n`;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new Event("change", { bubbles: true }));
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
  };

  const send = (field, box, file) => {
    if (file.size > largest) return say(box, `${file.name} is larger than 16 MB.`, true);
    const form = new FormData();
    form.append("file", file, file.name);
    const call = new XMLHttpRequest();
    call.open("POST", "/media");
    call.responseType = "json";
    box.toggleAttribute("data-busy", true);
    call.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) say(box, `Uploading ${file.name}: ${Math.round((event.loaded * 100) / event.total)} %`);
    });
    call.addEventListener("loadend", () => {
      box.toggleAttribute("data-busy", false);
      const answer = call.response;
      if (call.status === 201) {
        say(box, `${answer.name} goes with the text.`);
        // Somebody may have gone on typing meanwhile.
        put(field, answer.url);
      } else if (answer?.error) {
        say(box, answer.error, true);
      } else {
        say(box, `${file.name} could not be uploaded. Try again.`, true);
      }
    });
    say(box, `Uploading ${file.name}`);
    call.send(form);
  };

  const button = (field) => {
    if (field.dataset.attach === "on") return;
    field.dataset.attach = "on";
    const box = document.createElement("div");
    box.className = "attach";
    box.innerHTML = '<label class="button small quiet" data-icon="attach">Attach a file<input type="file" class="attach-file"></label> <small class="attach-said" role="status"></small>';
    const input = box.querySelector("input");
    input.setAttribute("aria-label", "Attach a file");
    input.addEventListener("change", () => {
      if (input.files.length > 0) send(field, box, input.files[0]);
      input.value = "";
    });
    field.after(box);
    field.addEventListener("drop", (event) => {
      const file = event.dataTransfer?.files[0];
      if (!file) return;
      event.preventDefault();
      send(field, box, file);
    });
    field.addEventListener("dragover", (event) => {
      if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
    });
    field.addEventListener("paste", (event) => {
      const file = event.clipboardData?.files[0];
      // Office programs put a picture of a text beside the text.
      if (!file || event.clipboardData.getData("text/plain")) return;
      event.preventDefault();
      send(field, box, file);
    });
  };

  const all = (root) => {
    if (root.matches?.("[data-attach]")) button(root);
    for (const field of root.querySelectorAll("[data-attach]")) button(field);
  };
  document.addEventListener("DOMContentLoaded", () => all(document));
  document.addEventListener("htmx:load", (event) => all(event.detail.elt));
})();
