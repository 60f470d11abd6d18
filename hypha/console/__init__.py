"""Pages that people see: landing page, workspace page, API description; all assets are in the package."""
