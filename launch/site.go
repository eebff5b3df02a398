package launch

import (
	"path/filepath"
	"slices"
)

// Site is a machine whose jobs start Copper by wrappers of its own, launch_copper_<name>.sh.
type Site struct {
	Name string
	// Defaults are those of `copper launch` there, by the long names of its options. All others are
	// everybody's.
	Defaults map[string]string

	book string // name of the facility's address book
}

// Sites is every site that there are wrappers for. Where it differs from the options' own defaults, this
// table is where a site's default is written down.
var Sites = []Site{
	{
		Name: "aurora", book: "alcf_aurora_copper_addressbook.txt",
		Defaults: map[string]string{"cores": "48,49,50,51", "addresses": Facility, "net": "cxi", "fallback": "true"},
	},
	{
		Name: "frontier", book: "olcf_frontier_copper_addressbook.txt",
		Defaults: map[string]string{"cores": "1,2", "addresses": Facility, "net": "cxi://cxi1", "fallback": "true"},
	},
	{Name: "local"},
}

// SiteNames are the names of all sites.
func SiteNames() (names []string) {
	for _, s := range Sites {
		names = append(names, s.Name)
	}
	return names
}

// FindSite is the site of that name, nil if there is none.
func FindSite(name string) *Site {
	if i := slices.IndexFunc(Sites, func(s Site) bool { return s.Name == name }); i >= 0 {
		return &Sites[i]
	}
	return nil
}

// Book is the path of the facility's address book in the installation at root; "" at a site without. The
// file may be missing.
func (s *Site) Book(root string) string {
	if s.book == "" {
		return ""
	}
	return filepath.Join(root, "share", "copper", s.book)
}
