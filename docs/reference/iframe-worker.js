// Search where the pages are read from a disk. A browser starts no worker from a file, so what asks
// for one gets a hidden frame, in which the worker's script runs. Served pages are left alone.
"use strict";
(() => {
  if (location.protocol !== "file:") return;

  class FrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.worker = this;
      frame.srcdoc =
        "<script>" +
        "const worker = frameElement.worker;" +
        "self.postMessage = (data) => worker.receive(data);" +
        "self.importScripts = (...urls) => urls.reduce((before, url) => before.then(() =>" +
        "  new Promise((done, failed) => {" +
        "    const script = document.createElement('script');" +
        "    Object.assign(script, { src: url, onload: done, onerror: failed });" +
        "    document.body.append(script);" +
        "  })), Promise.resolve());" +
        "</" + "script>" +
        `<body><script src="${new URL(url, document.baseURI)}"></` + "script></body>";
      frame.addEventListener("load", () => {
        const messages = this.waiting;
        this.waiting = null;
        messages.forEach((data) => this.postMessage(data));
      });
      this.frame = frame;
      document.body.append(frame);
    }

    postMessage(data) {
      if (this.waiting) {
        this.waiting.push(data);
      } else {
        const inside = this.frame.contentWindow;
        inside.dispatchEvent(new inside.MessageEvent("message", { data }));
      }
    }

    receive(data) {
      this.dispatchEvent(new MessageEvent("message", { data }));
    }

    terminate() {
      this.frame.remove();
    }
  }

  window.IFrameWorker = window.Worker = FrameWorker;
})();
