// Parts of a page that look again: data-live says where, data-every how often, data-tell what a change is called.
const FAILS_SLOWER = 4;

export function follow(root) {
  for (const part of root.querySelectorAll("[data-live]")) look(part, part.innerHTML.trim(), 0);
  title(root.querySelector("[data-title]"));
}

function look(part, before, failures) {
  const wait = Number(part.dataset.every) * (failures ? FAILS_SLOWER : 1);
  setTimeout(async () => {
    let now = before;
    try {
      if (!document.hidden) now = await read(part.dataset.live);
      failures = 0;
    } catch {
      failures += 1;
    }
    if (now !== before) {
      renew(part, now);
      if (part.dataset.tell) tell(part.dataset.tell);
      if (part.getAttribute("role") === "log") part.scrollTop = part.scrollHeight;
      if ("title" in part.dataset) title(part);
    }
    look(part, now, failures);
  }, wait);
}

// Who is on a link of the part stays on it.
function renew(part, content) {
  const at = document.activeElement;
  const link = at !== part && part.contains(at) ? at.getAttribute("href") : null;
  part.innerHTML = content;
  if (link) part.querySelector(`[href="${CSS.escape(link)}"]`)?.focus();
}

async function read(address) {
  const answer = await fetch(address, { credentials: "same-origin", redirect: "error" });
  if (!answer.ok) throw new Error(answer.status);
  return (await answer.text()).trim();
}

// How many wait stands before the title, so that it is seen in another tab.
function title(part) {
  if (!part) return;
  const plain = document.title.replace(/^\(\d+\) /, "");
  const count = part.textContent.trim();
  document.title = count ? `(${count}) ${plain}` : plain;
}

function tell(words) {
  const place = document.getElementById("told");
  if (place) place.textContent = words;
}
