// Opens a page in a headless browser and tells, as JSON, what a reader would not want of it.
//
//   node look.js PAGE BROWSER MODULES
//
// MODULES has playwright-core and axe-core.
const [, , page, browser, modules] = process.argv;
const fs = require("fs");
const { chromium } = require(`${modules}/playwright-core`);
const axe = fs.readFileSync(require.resolve(`${modules}/axe-core`), "utf8");

// Text that is cut off, or stands outside its drawing; and a page that is wider than its window.
function clipped() {
  const found = [];
  const name = (own) => (own.textContent || own.tagName).trim().slice(0, 60);
  for (const text of document.querySelectorAll("svg text")) {
    const drawing = text.ownerSVGElement.getBoundingClientRect();
    const own = text.getBoundingClientRect();
    if (own.left < drawing.left - 1 || own.right > drawing.right + 1 || own.bottom > drawing.bottom + 1) {
      found.push(`outside its drawing: ${name(text)}`);
    }
    const size = own.height;
    if (size < 8) found.push(`${size} px high: ${name(text)}`);
  }
  for (const own of document.querySelectorAll("body *")) {
    const style = getComputedStyle(own);
    if (own.scrollWidth > own.clientWidth + 1 && style.overflowX === "hidden") {
      found.push(`cut off: ${name(own)}`);
    }
  }
  if (document.documentElement.scrollWidth > window.innerWidth) {
    found.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  }
  return found;
}

async function look() {
  const told = { console: [], requests: [], clipped: {}, accessibility: {}, figures: 0 };
  const opened = await chromium.launch({ executablePath: browser, args: ["--no-sandbox"] });
  for (const colorScheme of ["light", "dark"]) {
    const context = await opened.newContext({ colorScheme });
    const tab = await context.newPage();
    tab.on("console", (message) => told.console.push(message.text()));
    tab.on("pageerror", (error) => told.console.push(String(error)));
    tab.on("request", (request) => told.requests.push(request.url()));
    await tab.goto(`file://${page}`);
    await tab.evaluate(() => document.querySelectorAll("details").forEach((own) => (own.open = true)));
    for (const width of [360, 800, 1600]) {
      await tab.setViewportSize({ width, height: 900 });
      told.clipped[`${colorScheme} ${width}`] = await tab.evaluate(clipped);
    }
    // A sheet of A4 without its margins.
    await tab.setViewportSize({ width: 720, height: 1040 });
    await tab.emulateMedia({ media: "print", colorScheme });
    told.clipped[`${colorScheme} print`] = await tab.evaluate(clipped);
    await tab.emulateMedia({ media: "screen", colorScheme });
    told.figures = await tab.evaluate(() => document.querySelectorAll("figure svg").length);
    await tab.evaluate(axe);
    const { violations } = await tab.evaluate(() => window.axe.run());
    told.accessibility[colorScheme] = violations.map(
      (own) => `${own.id}: ${own.help}: ${own.nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(" ")}`,
    );
    await context.close();
  }
  await opened.close();
  console.log(JSON.stringify(told));
}

look().catch((error) => {
  console.error(error);
  process.exit(1);
});
