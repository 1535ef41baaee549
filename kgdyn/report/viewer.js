"use strict";
// Draws each structure as shaded spheres, far ones first, and turns it by hand.
for (const figure of document.querySelectorAll("figure.viewer")) {
  const name = figure.dataset.structures;
  const data = JSON.parse(document.getElementById("structures-" + name).textContent);
  const canvas = figure.querySelector("canvas");
  const tabs = figure.querySelector(".tabs");
  const legend = figure.querySelector(".legend");
  const paint = canvas.getContext("2d");
  const start = [0.9396926, 0, 0.3420201, 0.1169778, 0.9396926, -0.3213938, -0.3213938, 0.3420201, 0.8830222];
  let shown = data.structures[0];
  let turn = start.slice();
  let zoom = 1;

  const multiply = (a, b) => {
    const out = new Array(9).fill(0);
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < 3; j++)
        for (let k = 0; k < 3; k++) out[3 * i + j] += a[3 * i + k] * b[3 * k + j];
    return out;
  };
  const rotate = (x, y) => {
    const [cx, sx, cy, sy] = [Math.cos(x), Math.sin(x), Math.cos(y), Math.sin(y)];
    turn = multiply([1, 0, 0, 0, cx, -sx, 0, sx, cx], multiply([cy, 0, sy, 0, 1, 0, -sy, 0, cy], turn));
    draw();
  };
  const zoomBy = (factor) => {
    zoom = Math.min(6, Math.max(0.4, zoom * factor));
    draw();
  };

  function draw() {
    const ratio = Math.max(2, window.devicePixelRatio || 1); // sharp on paper too
    const width = canvas.clientWidth || 480;
    const height = canvas.clientHeight || 360;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    paint.setTransform(ratio, 0, 0, ratio, width / 2 * ratio, height / 2 * ratio);
    paint.clearRect(-width / 2, -height / 2, width, height);
    const scale = zoom * 0.46 * Math.min(width, height) / shown.extent;
    const points = shown.atoms.map((atom, index) => {
      const [x, y, z] = atom.at;
      const at = [0, 1, 2].map((i) => turn[3 * i] * x + turn[3 * i + 1] * y + turn[3 * i + 2] * z);
      const near = Math.max(0.2, 1 + 0.18 * at[2] / shown.extent); // never behind the eye
      return { index, atom, x: at[0] * scale * near, y: -at[1] * scale * near, z: at[2], r: atom.radius * scale * near };
    });
    const things = points.map((p) => ({ z: p.z, point: p }));
    for (const [i, j] of shown.bonds) {
      things.push({ z: (points[i].z + points[j].z) / 2 - 1e-3, from: points[i], to: points[j] });
    }
    things.sort((a, b) => a.z - b.z);
    for (const thing of things) {
      const fog = 0.55 + 0.45 * Math.min(1, Math.max(0, 0.5 + thing.z / (2 * shown.extent)));
      paint.globalAlpha = fog;
      if (thing.point) sphere(thing.point);
      else {
        paint.strokeStyle = "#8c96a3";
        paint.lineWidth = Math.max(1.5, 0.09 * scale);
        paint.beginPath();
        paint.moveTo(thing.from.x, thing.from.y);
        paint.lineTo(thing.to.x, thing.to.y);
        paint.stroke();
      }
    }
    paint.globalAlpha = 1;
  }

  function sphere(p) {
    const shade = paint.createRadialGradient(p.x - p.r / 3, p.y - p.r / 3, p.r / 10, p.x, p.y, p.r);
    shade.addColorStop(0, "#ffffff");
    shade.addColorStop(0.35, p.atom.color);
    shade.addColorStop(1, p.atom.dark);
    paint.fillStyle = shade;
    paint.beginPath();
    paint.arc(p.x, p.y, p.r, 0, 2 * Math.PI);
    paint.fill();
    paint.lineWidth = p.atom.target ? 2.5 : 0.7;
    paint.strokeStyle = p.atom.target ? data.color : "#333333";
    paint.stroke();
  }

  function show(structure) {
    shown = structure;
    for (const button of tabs.children) {
      button.setAttribute("aria-pressed", String(button.textContent === structure.title));
    }
    legend.replaceChildren(
      ...structure.legend.map(([text, color]) => {
        const item = document.createElement("span");
        const dot = document.createElement("span");
        dot.className = "dot";
        dot.style.background = color;
        dot.style.border = "1px solid #333";
        item.append(dot, text);
        return item;
      })
    );
    draw();
  }

  for (const structure of data.structures) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = structure.title;
    button.addEventListener("click", () => show(structure));
    tabs.append(button);
  }
  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    held = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return;
    rotate((event.clientY - held[1]) / 120, (event.clientX - held[0]) / 120);
    held = [event.clientX, event.clientY];
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (held = null));
  canvas.addEventListener("dblclick", () => {
    turn = start.slice();
    zoom = 1;
    draw();
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey) return; // the page scrolls
      event.preventDefault();
      zoomBy(Math.exp(-event.deltaY / 400));
    },
    { passive: false }
  );
  canvas.addEventListener("keydown", (event) => {
    const step = 0.12;
    const turns = { ArrowLeft: [0, -step], ArrowRight: [0, step], ArrowUp: [-step, 0], ArrowDown: [step, 0] };
    if (turns[event.key]) rotate(...turns[event.key]);
    else if (event.key === "+" || event.key === "=") zoomBy(1.15);
    else if (event.key === "-") zoomBy(1 / 1.15);
    else return;
    event.preventDefault();
  });
  new ResizeObserver(draw).observe(canvas);
  show(shown);
}
