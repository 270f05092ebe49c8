"""How the page looks: fonts of the reader's own system, so that nothing is fetched from elsewhere."""

from __future__ import annotations

import gradio as gr

_SANS = ("system-ui", "-apple-system", "Segoe UI", "Noto Sans", "DejaVu Sans", "sans-serif")
_MONO = ("ui-monospace", "DejaVu Sans Mono", "monospace")

HEAD = """
<script>
// The splat viewer draws all the time. While its tab is hidden that would leave a machine without a graphics card no
// time for the other tabs; and frames asked for faster than it can draw them would pile up until nothing moves.
if (window.WebGL2RenderingContext) {
  const draw = WebGL2RenderingContext.prototype.drawArraysInstanced;
  let drawn = null;
  WebGL2RenderingContext.prototype.drawArraysInstanced = function (...values) {
    if (this.canvas.clientWidth === 0) return;
    draw.apply(this, values);
    if (drawn === null) drawn = { gl: this, sync: this.fenceSync(this.SYNC_GPU_COMMANDS_COMPLETE, 0) };
  };
  const isDrawing = () => {
    if (drawn === null || drawn.gl.isContextLost()) return false;
    const { gl, sync } = drawn;
    if (gl.clientWaitSync(sync, gl.SYNC_FLUSH_COMMANDS_BIT, 0) === gl.TIMEOUT_EXPIRED) return true;
    gl.deleteSync(sync);
    drawn = null;
    return false;
  };
  const ask = window.requestAnimationFrame.bind(window), cancel = window.cancelAnimationFrame.bind(window);
  const undo = new Map();
  window.requestAnimationFrame = callback => {
    const id = ask(function run(time) {
      undo.delete(id);
      if (!isDrawing()) return callback(time);
      const timer = setTimeout(() => {
        const next = ask(run);
        undo.set(id, () => cancel(next));
      }, 10);
      undo.set(id, () => clearTimeout(timer));
    });
    return id;
  };
  window.cancelAnimationFrame = id => {
    (undo.get(id) ?? (() => cancel(id)))();
    undo.delete(id);
  };
}
// The mesh viewer tries WebGPU first and complains in the console where it fails; everybody has WebGL.
delete Navigator.prototype.gpu;
</script>
"""

CSS = """
.gradio-container { max-width: 1500px !important; }
.fv-headline { font-size: 1.05rem; margin: 0 0 .4rem; }
.fv-progress progress { width: 100%; height: .8rem; appearance: none; border: none; background: #cbd5e1; }
.fv-progress progress::-webkit-progress-bar { background: #cbd5e1; }
.fv-progress progress::-webkit-progress-value { background: #1d4ed8; }
.fv-progress progress::-moz-progress-bar { background: #1d4ed8; }
.fv-problem { border-left: 4px solid #b42318; padding: .3rem .8rem; margin: .5rem 0; }
.fv-verdict { border-left: 4px solid #1a7f37; padding: .3rem .8rem; }
.fv-verdict.fv-usable { border-color: #9a6700; }
.fv-verdict.fv-doubtful, .fv-verdict.fv-failed { border-color: #b42318; }
.fv-scroll { overflow-x: auto; }
.fv-table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: .5rem 0; }
.fv-table, .fv-table tr, .fv-table th, .fv-table td { border: none !important; }
.fv-table th, .fv-table td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #8886 !important; }
.fv-table a { color: #1d4ed8; } .dark .fv-table a { color: #93c5fd; }
.fv-table caption { caption-side: bottom; text-align: left; padding: .4rem .6rem; }
.fv-pictures .grid-wrap { max-height: none; padding-top: 2.2rem; }
.fv-pictures .caption-label { top: var(--block-label-margin); bottom: auto; }
.fv-pictures .thumbnail-item.thumbnail-lg { aspect-ratio: auto; }
.fv-plan { max-width: 100%; height: auto; background: white; }
.fv-frame { width: 100%; height: 80vh; border: 1px solid #8886; background: white; }
:focus-visible { outline: 3px solid #1d4ed8 !important; outline-offset: 2px; }
.dark :focus-visible { outline-color: #93c5fd !important; }
.dark { --color-accent: #3b82f6; }
#files .or { color: inherit; }
"""


def theme() -> gr.themes.Base:
    """A plain theme with dark text on light ground."""
    return gr.themes.Default(primary_hue="blue", neutral_hue="slate", font=list(_SANS), font_mono=list(_MONO)).set(
        button_primary_background_fill="#1d4ed8",
        button_primary_background_fill_hover="#1e40af",
        button_primary_text_color="white",
        button_cancel_background_fill="#b42318",
        button_cancel_background_fill_hover="#912018",
        button_cancel_text_color="white",
        color_accent="#1d4ed8",
        block_info_text_color="#475569",
        block_label_text_color="#334155",
    )
