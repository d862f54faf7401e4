// The words on the page that stand out too little: less than 4.5 to 1 (WCAG 2.2, success criterion 1.4.3).
(() => {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((part, at) => part * a + below[at] * (1 - a));
  const luminance = (color) => {
    const [r, g, b] = color.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const faint = [];
  let looked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    const style = getComputedStyle(node);
    if (!walker.currentNode.data.trim() || style.display === 'none' || !node.getClientRects().length || node.closest('script, .skip')) continue;
    const below = ground(node);
    const ink = over(parse(node.namespaceURI.endsWith('svg') ? style.fill : style.color), below);
    const [dark, light] = [luminance(ink), luminance(below)].sort((a, b) => a - b);
    looked += 1;
    if ((light + 0.05) / (dark + 0.05) < 4.5) faint.push(`${walker.currentNode.data.trim()}: ${style.color} on ${below}`);
  }
  return { looked, faint };
})();
