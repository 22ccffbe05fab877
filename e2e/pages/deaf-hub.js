// A worker that answers nobody: as one that died before it could.
self.onconnect = () => {};
