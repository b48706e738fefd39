// The points of a map: sent once and kept, for the map beside them is sent again at every step of a walk.

export default function ({ data }) {
  const held = (window.midikinPoints ||= new Map());
  if (held.has(data.name)) return;
  held.clear(); // a page shows one map
  held.set(data.name, data);
  window.dispatchEvent(new CustomEvent("midikin-points"));
}
