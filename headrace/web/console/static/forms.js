// A form is sent once; what cannot be taken back is asked about; a picked text fills the field above it.
export function forms(root) {
  root.addEventListener("submit", (event) => {
    const sure = event.submitter?.dataset.confirm;
    if ((sure && !confirm(sure)) || event.target.dataset.sent) {
      event.preventDefault();
      return;
    }
    event.target.dataset.sent = "1";
    event.submitter?.setAttribute("aria-busy", "true");
    const busy = event.target.dataset.busy;
    if (busy) document.getElementById("told").textContent = busy;
  });
  // Coming back by the history, a form may be sent again.
  addEventListener("pageshow", () => {
    for (const form of root.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
    for (const button of root.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  });
  root.addEventListener("change", (event) => {
    const text = event.target.dataset?.text;
    const field = event.target.form?.querySelector("[data-fill]");
    if (text !== undefined && field) field.value = text;
  });
  for (const log of root.querySelectorAll('[role="log"]')) log.scrollTop = log.scrollHeight;
}
