// A hub on a storage that tests can let fail.
import "./storage-faults.js";
import "/dist/worker.js";
