// Start: figures go live shortly before they are seen.

const figures = [...document.querySelectorAll("section.figure")].map((section) => {
  const panels = readPanels(section);
  const holders = [...section.querySelectorAll(".panel")];
  fillWhenOpened(section.querySelector("details"), panels);
  return { section, panels: panels.map((panel, i) => ({ panel, holder: holders[i], live: { plot: null } })) };
});

const goLive = ({ panel, holder, live }) => {
  if (live.plot || holder.classList.contains("is-live")) return;
  holder.classList.add("is-live");
  if (panel.values) readable(panel, holder); else live.plot = livePlot(panel, holder);
};

const parts = new Map(figures.flatMap((figure) => figure.panels.map((part) => [part.holder, part])));
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((one) => one.isIntersecting)) {
    seen.unobserve(entry.target);
    goLive(parts.get(entry.target));
  }
}, { rootMargin: "600px" });
for (const holder of parts.keys()) seen.observe(holder);

makeFilter(figures);
const target = document.getElementById(location.hash.slice(1).split("&")[0]);
if (target && location.hash.includes("&")) target.scrollIntoView();
