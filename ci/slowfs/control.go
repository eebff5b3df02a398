package slowfs

import (
	"encoding/json"
	"net/http"
)

// Control is the server's remote control, to be served on a Unix socket:
//
//	GET    /counts          Counts as JSON
//	GET    /counts?paths=1  CountsWithPaths as JSON
//	POST   /reset           Reset
//	POST   /fault           SetFault, the body is a Fault as JSON
//	DELETE /fault           ClearFaults
//	POST   /changed?path=P  Changed
//
// 204 means done; 400 and a line of text, that the request was wrong; 500, that it failed.
func (s *Server) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, r *http.Request) {
		paths := r.FormValue("paths")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.count(paths != "" && paths != "0"))
	})
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /fault", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&f)
		if err == nil {
			err = s.SetFault(f)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /fault", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /changed", func(w http.ResponseWriter, r *http.Request) {
		viewPath := r.FormValue("path")
		if err := checkPath(viewPath); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := s.Changed(viewPath); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
