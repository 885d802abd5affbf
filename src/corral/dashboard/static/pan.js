// A picture that is larger than its frame: dragged with the mouse, made larger and smaller by wheel, keys and buttons.
// Without this the frame scrolls.
const STEP = 1.25;
const [LEAST, MOST] = [0.1, 3];
// A mouse that moved less has clicked.
const DRAGGED_PX = 4;
const KEYS = { "+": STEP, "=": STEP, "-": 1 / STEP };

export function pan() {
  prepare();
  document.addEventListener("corral:renewed", prepare);
}

function prepare() {
  for (const frame of document.querySelectorAll("[data-pan]")) {
    const picture = frame.querySelector("svg");
    const whole = picture?.viewBox.baseVal;
    if (!whole || (frame.scrollWidth <= frame.clientWidth && frame.scrollHeight <= frame.clientHeight)) continue;
    const bar = frame.previousElementSibling;
    const first = picture.querySelector(".box rect")?.y.baseVal.value ?? 0;
    let scale = 1;
    frame.scrollTop = first - frame.clientHeight / 2; // the job that waits for all others stands beside their middle

    // The point (x, y) of the frame stays where it is.
    function zoom(to, x = frame.clientWidth / 2, y = frame.clientHeight / 2) {
      const next = Math.min(MOST, Math.max(LEAST, to));
      const [left, top] = [(frame.scrollLeft + x) / scale, (frame.scrollTop + y) / scale];
      scale = next;
      picture.setAttribute("width", whole.width * scale);
      picture.setAttribute("height", whole.height * scale);
      frame.scrollTo(left * scale - x, top * scale - y);
    }

    function fit() {
      const style = getComputedStyle(frame);
      const room = [frame.clientWidth - 2 * parseFloat(style.paddingLeft), frame.clientHeight - 2 * parseFloat(style.paddingTop)];
      zoom(Math.min(1, room[0] / whole.width, room[1] / whole.height));
    }

    frame.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in KEYS) zoom(scale * KEYS[event.key]);
      else if (event.key === "0") fit();
      else return;
      event.preventDefault();
    });
    // A pinch on a touchpad is a wheel with Ctrl, too; the wheel alone scrolls.
    frame.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      const place = frame.getBoundingClientRect();
      zoom(scale * Math.exp(-event.deltaY / 300), event.clientX - place.left, event.clientY - place.top);
    }, { passive: false });
    drag(frame);
    if (!bar?.matches("[data-zooms]")) continue;
    bar.hidden = false;
    bar.addEventListener("click", (event) => {
      const { zooms } = event.target.closest("button")?.dataset ?? {};
      if (zooms === "fit") fit();
      else if (zooms) zoom(scale * KEYS[zooms]);
    });
  }
}

function drag(frame) {
  let from = null;
  let moved = false;
  frame.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0) return; // fingers scroll by themselves
    from = [event.clientX + frame.scrollLeft, event.clientY + frame.scrollTop];
    moved = false;
  });
  frame.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [left, top] = [from[0] - event.clientX, from[1] - event.clientY];
    if (!moved && Math.hypot(left - frame.scrollLeft, top - frame.scrollTop) < DRAGGED_PX) return;
    if (!moved) frame.setPointerCapture(event.pointerId);
    moved = true;
    frame.dataset.dragged = "";
    frame.scrollTo(left, top);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    frame.addEventListener(end, () => {
      from = null;
      delete frame.dataset.dragged;
    });
  }
  frame.addEventListener("dragstart", (event) => event.preventDefault());
  frame.addEventListener("click", (event) => {
    if (moved) event.preventDefault(); // it was no click on the job below the pointer
    moved = false;
  }, true);
}
