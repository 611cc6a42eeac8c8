// Pages opened from disk may not start workers; there the search runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      this.frame.srcdoc = "<!doctype html><title>search</title>"
      this.ready = new Promise(done => this.frame.addEventListener("load", done)).then(() => this.run(url))
      document.body.append(this.frame)
    }

    run(url) {
      const inside = this.frame.contentWindow
      inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      const script = inside.document.createElement("script")
      const ran = new Promise(done => script.addEventListener("load", done))
      script.src = url
      inside.document.head.append(script)
      return ran
    }

    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })))
    }
  }
}
